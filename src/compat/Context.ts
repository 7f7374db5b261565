/**
 * An event on its way: what plugins, callbacks and listeners get. It has the event, its log, and the reason if it was not
 * delivered.
 */
import type { SegmentEvent } from "./Params.ts"

export type LogLevel = "debug" | "info" | "warn" | "error"

/** A line in the log of an event. */
export interface LogMessage {
  level: LogLevel
  message: string
  time?: Date
  extras?: Record<string, unknown>
}

/** The log of an event. */
class Logger {
  logs: Array<LogMessage> = []

  log(level: LogLevel, message: string, extras?: object): void {
    // biome-ignore lint/plugin: the log of an event is the program's own
    this.logs.push({ level, message, time: new Date(), ...(extras === undefined ? {} : { extras: { ...extras } }) })
  }

  flush(): void {
    // The program asks for these lines on its console.
    // biome-ignore lint/suspicious/noConsole: the same
    for (const { extras, level, message } of this.logs) console[level](message, extras ?? "")
    this.logs = []
  }
}

/** Takes metrics of plugins, and keeps none. */
class Stats {
  metrics: Array<never> = []
  increment(_metric: string, _by?: number, _tags?: Array<string>): void {}
  gauge(_metric: string, _value: number, _tags?: Array<string>): void {}
  flush(): void {}
  serialize(): Array<never> {
    return []
  }
}

/** Thrown by a plugin, or by `cancel`, to end an event. */
export class ContextCancelation {
  retry: boolean
  type: string
  reason?: string

  constructor(options: { retry?: boolean; type?: string; reason?: string }) {
    this.retry = options.retry ?? true
    this.type = options.type ?? "plugin Error"
    this.reason = options.reason ?? ""
  }
}

/** An event on its way through plugins, callbacks and listeners. @category models @since 0.1.0 */
export class Context {
  event: SegmentEvent
  attempts = 0
  logger = new Logger()
  stats = new Stats()
  #id: string | undefined
  #failed: { reason: unknown } | undefined

  constructor(event: SegmentEvent, id?: string) {
    this.event = event
    this.#id = id
  }

  /** The context of what is no event of the program: the loading of plugins. */
  static system(): Context {
    return new Context({ type: "track", event: "system" })
  }

  get id(): string {
    this.#id ??= crypto.randomUUID()
    return this.#id
  }

  /** Whether the other is of the same event. */
  isSame(other: Context): boolean {
    return other.id === this.id
  }

  /** Ends the event: in a `before` plugin it is not sent. */
  cancel(error?: Error | ContextCancelation): never {
    throw error ?? new ContextCancelation({ reason: "Context Cancel" })
  }

  /** Adds a line to the log of the event. */
  log(level: LogLevel, message: string, extras?: object): void {
    this.logger.log(level, message, extras)
  }

  /** Sets a field of the event: `updateEvent("properties.total", 5)`. An integration that is `false` stays so. */
  updateEvent(path: string, value: unknown): SegmentEvent {
    const keys = path.split(".")
    if (keys[0] === "integrations" && this.event.integrations?.[keys[1] ?? ""] === false) return this.event
    if (keys.some((key) => forbidden.has(key))) return this.event
    let target = this.event as unknown as Record<string, unknown>
    for (const [place, key] of keys.slice(0, -1).entries()) {
      if (typeof target[key] !== "object" || target[key] === null) target[key] = isIndex(keys[place + 1]) ? [] : {}
      target = target[key] as Record<string, unknown>
    }
    target[keys[keys.length - 1] as string] = value
    return this.event
  }

  /** The reason, if the event was not delivered. */
  failedDelivery(): { reason: unknown } | undefined {
    return this.#failed
  }

  /** Says that the event was not delivered, and why. */
  setFailedDelivery(options: { reason: unknown }): void {
    this.#failed = options
  }

  /** The log of the event. */
  logs(): Array<LogMessage> {
    return this.logger.logs
  }

  /** Writes the log of the event to the console. */
  flush(): void {
    this.logger.flush()
    this.stats.flush()
  }

  /** The event with its log. */
  toJSON(): { id: string; event: SegmentEvent; logs: Array<LogMessage>; metrics: Array<never> } {
    return { id: this.id, event: this.event, logs: this.logs(), metrics: this.stats.metrics }
  }
}

/** Keys that would reach the prototype of an object. */
const forbidden: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"])

const isIndex = (key: string | undefined): boolean => key !== undefined && /^\d+$/.test(key)
