/**
 * The submitter of an `Analytics` service. It travels with the service object under a symbol, so that whatever hands the service
 * on hands it on too.
 */
import * as Effect from "effect/Effect"
import { AnalyticsError, type CallError, InvalidCall, InvalidSetting } from "../AnalyticsError.ts"
import * as CallCheck from "../Call/CallCheck.ts"
import type { Data, Type } from "../Call.ts"
import * as Message from "../Message.ts"
import * as Transform from "../Transform.ts"
import * as Check from "./Check.ts"
import { type Submitter, type Summary, version } from "./Submitter.ts"

const key = Symbol.for("effect-analytics/Submitter")

/** The submitter of a service. For a service of the program's own, such as a mock, one that makes its calls. */
export const over = (service: Service): Submitter => {
  const attached = of(service)
  if (attached !== undefined) return attached
  return {
    version,
    checks: [],
    submit: (type, call, { checks = [] } = {}) =>
      Effect.withFiber<void, AnalyticsError>((fiber) => {
        const refuse = (reason: CallError) => new AnalyticsError({ reason })
        const data = CallCheck.read(type, call)
        if (data instanceof InvalidCall) return refuse(data)
        const invalid = CallCheck.check(type, data)
        if (invalid !== undefined) return refuse(invalid)
        if (checks.length === 0) return service[type](call as never)
        const message = Message.stamp(
          type,
          { ...data },
          0,
          () => new Date(0).toISOString(),
          () => "mock"
        )
        const passed = Check.pass(checks, message, fiber.context)
        if (!Check.isWire(passed)) return Transform.isDrop(passed) ? Effect.void : refuse(passed)
        // As the checks have left it: without what must not be sent, and with what they have noted.
        const { library: _, ...context } = passed.context
        return service[type]({
          ...data,
          ...pickData(passed),
          ...(data.context === undefined && Object.keys(context).length === 0 ? {} : { context })
        } as never)
      }),
    submitUnsafe: () => undefined,
    onEnd: () => () => {},
    flush: () => service.flush,
    close: () => service.close
  }
}

const pickData = (message: Data): Data => {
  const { properties, traits } = message
  return { ...(properties === undefined ? {} : { properties }), ...(traits === undefined ? {} : { traits }) }
}

/** What a submitter needs of the `Analytics` service. */
type Service = { readonly [T in Type]: (call: never) => Effect.Effect<void, AnalyticsError> } & {
  readonly flush: Effect.Effect<Summary>
  readonly close: Effect.Effect<Summary>
}

/** A service with its submitter. */
export const attach = <Service extends object>(service: Service, submitter: Submitter): Service =>
  Object.defineProperty(service, key, { value: submitter, enumerable: true })

/**
 * The submitter of a service; `undefined` if the service is the program's own, such as a mock. Throws an `InvalidSetting` if it
 * is of an incompatible version of the package.
 */
export const of = (service: object): Submitter | undefined => {
  // Its own: a mock may be a proxy that has every property.
  const submitter = Object.hasOwn(service, key) ? (service as { readonly [key]?: Submitter })[key] : undefined
  if (submitter === undefined || submitter.version === version) return submitter
  throw new InvalidSetting({
    setting: "effect-analytics",
    problem:
      "is installed in two incompatible versions that meet in this process: install one (npm ls effect-analytics)"
  })
}
