/**
 * The facts about a visitor in a web request, as a context: address, browser, language, page, and the id of the request.
 *
 * A pure function of the request. Who asks can write into a request whatever he likes: an address is believed only where
 * only your own proxies can have written it, every text is bounded, and no request makes it throw.
 */

import * as NetAddress from "effect/net/NetAddress"
import * as Result from "effect/Result"
import * as Settings from "./Settings.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Models
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What is read of a request. The `Request` of the web, Express 5 and Fastify is one as it is.
 * @category models @since 0.1.0
 */
export interface Request {
  /** Absolute, or from the root as in Node: `/cart?item=1`. */
  readonly url?: string | undefined
  /** `url` as it was before a router cut it. */
  readonly originalUrl?: string | undefined
  /** Needed, with `host`, for the `page.url` of an address that is not absolute. */
  readonly protocol?: string | undefined
  readonly host?: string | undefined
  /** Of the web, or an object with names in lower case, as in Node. */
  readonly headers:
    | {
        /** As `Headers` has it. */
        readonly get: (name: string) => string | null
      }
    | { readonly [name: string]: string | ReadonlyArray<string> | undefined }
  /** The visitor's address: of the connection, or what the framework's own rule for proxies made of it. */
  readonly ip?: string | undefined
  /** @default the header `x-request-id` */
  readonly id?: unknown
}

/**
 * As Segment's `context` has it, and `requestId`. Facts that the request does not have are absent.
 * @category models @since 0.1.0
 */
export type RequestContext = {
  readonly ip?: string
  readonly userAgent?: string
  /** The language that the visitor likes best: `de-CH`. */
  readonly locale?: string
  readonly page?: {
    readonly path: string
    readonly search: string
    readonly referrer: string
    readonly url?: string
  }
  readonly requestId?: string
}

// ---------------------------------------------------------------------------------------------------------------------
// Options
// ---------------------------------------------------------------------------------------------------------------------

/** What is read of a request. @category options @since 0.1.0 */
export interface Options {
  /**
   * Who is believed about the visitor's address. By default nobody but the connection (`ip` of the request): headers can
   * be written by anyone.
   *
   * - A number: so many proxies of yours are in front, and each adds to `X-Forwarded-For` whom it was asked by. What the
   *   first of them added is the visitor. One too many, and visitors can write their address themselves.
   * - A name: the header in which your platform puts the address, whatever the visitor wrote there:
   *   `cf-connecting-ip`, `x-real-ip`.
   *
   * A number of proxies in a text, as environment variables have it, is refused: it would be the name of a header.
   *
   * @default 0
   */
  readonly trust?: number | string | undefined
}

const settings = ({ trust = 0 }: Options): number | string => {
  const proxies = Number.isInteger(trust) && Number(trust) >= 0
  const name = typeof trust === "string" && /^[\w-]*[a-z][\w-]*$/i.test(trust)
  return proxies || name
    ? trust
    : Settings.invalid("trust", "must be a number of proxies (not in a text), or the name of a header")
}

// ---------------------------------------------------------------------------------------------------------------------
// Constructor
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Characters, at most. Together they keep a context below 12,000 bytes whatever is in it, of the 32,768 that a message may
 * have: a visitor must not be able to crowd out what is yours.
 */
const longest = { text: 512, address: 1_024, locale: 64, id: 128 }

/**
 * The function that reads requests. Throws an `InvalidSetting` when it can't be made; what it answers with never throws.
 * @category constructors @since 0.1.0
 */
export const make = (options: Options = {}): ((request: Request) => RequestContext) => {
  const trust = settings(options)
  return (request) => {
    const ip = addressOf(forwarded(request, trust) ?? request.ip)
    const userAgent = header(request, "user-agent")
    const locale = languageOf(header(request, "accept-language"))
    const page = pageOf(request)
    const requestId = idOf(request.id ?? header(request, "x-request-id"))
    return {
      ...(ip === undefined ? {} : { ip }),
      ...(userAgent === undefined ? {} : { userAgent: userAgent.slice(0, longest.text) }),
      ...(locale === undefined ? {} : { locale }),
      ...(page === undefined ? {} : { page }),
      ...(requestId === undefined ? {} : { requestId })
    }
  }
}

const header = ({ headers }: Request, name: string): string | undefined => {
  const value = typeof headers.get === "function" ? headers.get(name) : (headers as Record<string, unknown>)[name]
  const text = Array.isArray(value) ? value.join(", ") : value
  return typeof text === "string" && text !== "" ? text : undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// Address
// ---------------------------------------------------------------------------------------------------------------------

/** The visitor's address as a trusted header gives it, if there is one. */
const forwarded = (request: Request, trust: number | string): string | undefined => {
  if (typeof trust === "string") return header(request, trust.toLowerCase())
  const hops = trust === 0 ? [] : (header(request, "x-forwarded-for")?.split(",") ?? [])
  // The last one was added by the proxy that is next to us. With fewer than there should be, the first is the best.
  return hops.at(-trust) ?? hops[0]
}

/** An address without port and brackets, IPv4 as such; nothing, if it is none. */
const addressOf = (text: string | undefined): string | undefined => {
  const trimmed = text?.trim() ?? ""
  const bare = NetAddress.ipFromString(trimmed.replace(/^\[(.*)\]$/, "$1").replace(/%.*$/, ""))
  if (Result.isSuccess(bare)) return NetAddress.formatIp(NetAddress.toCanonical(bare.success))
  const withPort = NetAddress.inetAddressFromString(trimmed)
  return Result.isSuccess(withPort) ? NetAddress.formatIp(NetAddress.toCanonical(withPort.success.address)) : undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// Language, page, id
// ---------------------------------------------------------------------------------------------------------------------

/** The first of the languages with the highest weight: https://www.rfc-editor.org/rfc/rfc9110#name-accept-language */
const languageOf = (accepted: string | undefined): string | undefined => {
  let best: string | undefined
  let most = 0
  for (const range of accepted?.slice(0, longest.text).split(",") ?? []) {
    const [, tag, weight = "1"] = /^\s*([a-z]{1,8}(?:-[a-z\d]{1,8})*)\s*(?:;\s*q=([\d.]+)\s*)?$/i.exec(range) ?? []
    if (tag === undefined || tag.length > longest.locale || !(Number(weight) > most)) continue
    best = tag
    most = Number(weight)
  }
  return best
}

const pageOf = (request: Request): RequestContext["page"] => {
  const asked = request.originalUrl ?? request.url ?? ""
  const fromRoot = asked.startsWith("/")
  const origin = originOf(request)
  // Put together, not resolved: `//elsewhere/` is a path here.
  const absolute = fromRoot ? `${origin ?? "http://localhost"}${asked}` : asked
  if (!/^https?:/i.test(absolute) || !URL.canParse(absolute)) return undefined
  const parsed = new URL(absolute)
  const whole = fromRoot && origin === undefined ? undefined : parsed.origin + parsed.pathname + parsed.search
  return {
    path: parsed.pathname.slice(0, longest.address),
    search: parsed.search.slice(0, longest.address),
    referrer: (header(request, "referer") ?? "").slice(0, longest.text),
    ...(whole === undefined ? {} : { url: whole.slice(0, longest.address) })
  }
}

/** The origin, if the host is a plain host: with `/?#\@` in it, the sender of the header would choose the path too. */
const originOf = ({ host = "", protocol = "" }: Request): string | undefined => {
  if (!/^https?:?$/i.test(protocol) || !/^[^/?#\\@\s]+$/.test(host)) return undefined
  const origin = `${protocol.replace(/:$/, "")}://${host}`
  return URL.canParse(origin) ? origin : undefined
}

const idOf = (id: unknown): string | undefined =>
  typeof id === "string" && id.length <= longest.id && /^[\x21-\x7e]+$/.test(id) ? id : undefined
