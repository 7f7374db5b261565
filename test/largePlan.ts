/** A plan of 2,000 events with 30 properties each, as it is parsed: no two events share an object. */
export const largePlan = (): object => {
  const kinds = [
    { type: "string", description: "A text" },
    { type: "number", minimum: 0 },
    { type: "string", enum: ["a", "b"] },
    { type: ["string", "null"], pattern: "^[a-z]+$" },
    { type: "array", items: { type: "object", properties: { sku: { type: "string" } }, required: ["sku"] } },
    { type: "string", pii: "drop" }
  ]
  const shape = Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`property_${n}`, kinds[n % kinds.length]]))
  const rules = {
    type: "object",
    properties: { properties: { type: "object", properties: shape, required: ["property_0"] } }
  }
  const events = Array.from({ length: 2_000 }, (_, n) => ({ name: `Event ${n}`, version: 1, rules }))
  return JSON.parse(JSON.stringify({ display_name: "Large", rules: { events } }))
}
