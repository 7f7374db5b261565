/**
 * The e-commerce events of Segment's Spec (version 2), with their documented properties and types.
 *
 * The Spec requires no property, and so nothing here does: start with these, and tighten what your shop always knows.
 * https://www.twilio.com/docs/segment/connections/spec/ecommerce/v2
 */
import * as Schema from "effect/Schema"
import * as TrackingPlan from "../TrackingPlan.ts"

const text = Schema.optionalKey(Schema.String)
const number = Schema.optionalKey(Schema.Finite)

const product = {
  /** The id in the database. */
  product_id: text.annotate({ description: "The id in the database." }),
  /** The id that customers see. */
  sku: text.annotate({ description: "The id that customers see." }),
  category: text,
  name: text,
  brand: text,
  variant: text,
  price: number,
  quantity: number,
  /** A coupon for this product. */
  coupon: text.annotate({ description: "A coupon for this product." }),
  /** The place in the list of products. */
  position: number.annotate({ description: "The place in the list of products." }),
  url: text,
  image_url: text
}

/** A product in a list of products. @category schemas @since 0.1.0 */
export const Product = Schema.Struct(product)
const products = Schema.optionalKey(Schema.Array(Product))

const choices = Schema.optionalKey(Schema.Array(Schema.Struct({ type: text, value: text })))

const promotion = { promotion_id: text, creative: text, name: text, position: text }

const order = {
  order_id: text,
  /** The shop or partner where the order was made. */
  affiliation: text.annotate({ description: "The shop or partner where the order was made." }),
  /** What is earned, without shipping and tax. */
  revenue: number.annotate({ description: "What is earned, without shipping and tax." }),
  shipping: number,
  tax: number,
  discount: number,
  coupon: text,
  /** ISO 4217: `EUR`. */
  currency: text.annotate({ description: "ISO 4217: `EUR`." }),
  products
}

const paid = {
  ...order,
  /** With shipping and tax. */
  total: number.annotate({ description: "With shipping and tax." })
}

const completed = {
  ...paid,
  checkout_id: text,
  /** After discounts, before shipping and tax. */
  subtotal: number.annotate({ description: "After discounts, before shipping and tax." })
}

const step = { checkout_id: text, step: number, shipping_method: text, payment_method: text }

const coupon = {
  /** If it is a coupon for an order. */
  order_id: text.annotate({ description: "If it is a coupon for an order." }),
  /** If it is a coupon for a cart. */
  cart_id: text.annotate({ description: "If it is a coupon for a cart." }),
  coupon_id: text
}

const wishlist = { wishlist_id: text, wishlist_name: text, ...product }

const share = { share_via: text, share_message: text, recipient: text }

/** An event, and what a user did. */
const event = <const Fields extends Schema.Struct.Fields>(description: string, fields: Fields) =>
  Schema.Struct(fields).annotate({ description })

/** The events, with their properties. @category schemas @since 0.1.0 */
export const events = {
  /** Searched for products. */
  "Products Searched": event("Searched for products.", {
    query: Schema.optionalKey(Schema.Union([Schema.String, Schema.JsonObject]))
  }),
  /** Saw a list or a category of products. */
  "Product List Viewed": event("Saw a list or a category of products.", { list_id: text, category: text, products }),
  /** Filtered a list or a category of products. */
  "Product List Filtered": event("Filtered a list or a category of products.", {
    list_id: text,
    category: text,
    filters: choices,
    sorts: choices,
    products
  }),
  /** Saw a promotion. */
  "Promotion Viewed": event("Saw a promotion.", promotion),
  /** Clicked on a promotion. */
  "Promotion Clicked": event("Clicked on a promotion.", promotion),
  /** Clicked on a product. */
  "Product Clicked": event("Clicked on a product.", product),
  /** Saw the details of a product. */
  "Product Viewed": event("Saw the details of a product.", {
    ...product,
    currency: text,
    /** Price times quantity. */
    value: number.annotate({ description: "Price times quantity." })
  }),
  /** Put a product into the cart. */
  "Product Added": event("Put a product into the cart.", { cart_id: text, ...product }),
  /** Took a product out of the cart. */
  "Product Removed": event("Took a product out of the cart.", { cart_id: text, ...product }),
  /** Saw the cart. */
  "Cart Viewed": event("Saw the cart.", { cart_id: text, products }),
  /** Started to order. */
  "Checkout Started": event("Started to order.", {
    ...order,
    /** The revenue, with discounts and coupons as the shop reckons them. */
    value: number.annotate({ description: "The revenue, with discounts and coupons as the shop reckons them." })
  }),
  /** Saw a step of the checkout. */
  "Checkout Step Viewed": event("Saw a step of the checkout.", step),
  /** Completed a step of the checkout. */
  "Checkout Step Completed": event("Completed a step of the checkout.", step),
  /** Gave payment information. */
  "Payment Info Entered": event("Gave payment information.", { ...step, order_id: text }),
  /** Completed an order. */
  "Order Completed": event("Completed an order.", completed),
  /** Changed an order. */
  "Order Updated": event("Changed an order.", paid),
  /** Got money back for an order, whole or in part. */
  "Order Refunded": event("Got money back for an order, whole or in part.", completed),
  /** Cancelled an order. */
  "Order Cancelled": event("Cancelled an order.", paid),
  /** Gave a coupon for a cart or an order. */
  "Coupon Entered": event("Gave a coupon for a cart or an order.", coupon),
  /** The coupon was accepted. */
  "Coupon Applied": event("The coupon was accepted.", { ...coupon, coupon_name: text, discount: number }),
  /** The coupon was refused. */
  "Coupon Denied": event("The coupon was refused.", {
    ...coupon,
    coupon_name: text,
    /** As the example of the Spec has it; its list of properties says `coupon_id`. */
    coupon: text.annotate({
      description: "As the example of the Spec has it; its list of properties says `coupon_id`."
    }),
    reason: text
  }),
  /** Took a coupon back. */
  "Coupon Removed": event("Took a coupon back.", { ...coupon, coupon_name: text, discount: number }),
  /** Put a product on the wish list. */
  "Product Added to Wishlist": event("Put a product on the wish list.", wishlist),
  /** Took a product off the wish list. */
  "Product Removed from Wishlist": event("Took a product off the wish list.", wishlist),
  /** Moved a product from the wish list into the cart. */
  "Wishlist Product Added to Cart": event("Moved a product from the wish list into the cart.", {
    ...wishlist,
    cart_id: text
  }),
  /** Shared a product with others. */
  "Product Shared": event("Shared a product with others.", { ...share, ...product }),
  /** Shared the cart with others. */
  "Cart Shared": event("Shared the cart with others.", { ...share, cart_id: text, products }),
  /** Reviewed a product. */
  "Product Reviewed": event("Reviewed a product.", {
    product_id: text,
    review_id: text,
    review_body: text,
    rating: text
  })
}

/** The plan of the events. @category plans @since 0.1.0 */
export const plan: TrackingPlan.Plan<{ readonly name: "Ecommerce"; readonly events: typeof events }> =
  TrackingPlan.make({ name: "Ecommerce", events })
