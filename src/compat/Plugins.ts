/**
 * The plugins of a client, and the way of an event through them: `before` and `enrichment` one after the other, then all
 * `destination` plugins together, then all `after` plugins. Plugins of the type `utility` are loaded, and see no event.
 */
import { textOf } from "../internal/Callback.ts"
import { Context, ContextCancelation } from "./Context.ts"
import type { IntegrationsOptions } from "./Params.ts"

export type PluginType = "before" | "after" | "destination" | "enrichment" | "utility"

type Hook = (ctx: Context) => Promise<Context> | Context

/** A plugin of a client `Analytics`. */
export interface PluginOf<Analytics> {
  name: string
  /** Further names by which `integrations` can switch it off. */
  alternativeNames?: Array<string>
  version?: string
  type: PluginType
  /** Not asked: events wait for `load`. */
  isLoaded: () => boolean
  /** Called once, with the client. A plugin whose promise rejects is left out. */
  load: (ctx: Context, instance: Analytics) => Promise<unknown>
  /** Called by `deregister`. A plugin whose promise rejects stays. */
  unload?: (ctx: Context, instance: Analytics) => Promise<unknown> | unknown
  /** Not called. */
  ready?: () => Promise<unknown>
  track?: Hook
  identify?: Hook
  page?: Hook
  group?: Hook
  alias?: Hook
  screen?: Hook
}

/** The destination that is the client itself. `All: false` does not switch it off; its own name does. */
export const ownName = "Segment.io"

export class Plugins<Analytics> {
  readonly #instance: Analytics
  readonly #warn: (line: string) => void
  #plugins: ReadonlyArray<PluginOf<Analytics>> = []
  /** The registrations that events wait for. */
  #loading: Promise<unknown> | undefined

  constructor(instance: Analytics, own: PluginOf<Analytics>, warn: (line: string) => void) {
    this.#instance = instance
    this.#warn = warn
    this.#plugins = [own]
  }

  /** Adds plugins. Events wait until they are loaded, destinations excepted; one that does not load is removed. */
  register(plugins: ReadonlyArray<PluginOf<Analytics>>): Promise<void> {
    this.#plugins = [...this.#plugins, ...plugins]
    const before = this.#loading
    const loading = Promise.all([before, ...plugins.map((plugin) => this.#load(plugin))]).then(() => {
      if (this.#loading === loading) this.#loading = undefined
    })
    this.#loading = loading
    return loading
  }

  async #load(plugin: PluginOf<Analytics>): Promise<void> {
    const loaded = attemptAsync(() => plugin.load(Context.system(), this.#instance)).catch((cause) => {
      this.#plugins = this.#plugins.filter((other) => other !== plugin)
      this.#warn(`the plugin ${plugin.name} did not load, and is left out: ${textOf(cause)}`)
    })
    if (plugin.type !== "destination") await loaded
  }

  /** Unloads and removes plugins. One that does not unload stays. */
  async deregister(names: ReadonlyArray<string>): Promise<void> {
    await Promise.all(
      names.map(async (name) => {
        const plugin = this.#plugins.find((other) => other.name === name)
        if (plugin === undefined) return
        try {
          await plugin.unload?.(Context.system(), this.#instance)
          this.#plugins = this.#plugins.filter((other) => other.name !== name)
        } catch (cause) {
          this.#warn(`the plugin ${name} did not unload, and stays: ${textOf(cause)}`)
        }
      })
    )
  }

  /**
   * Takes an event through the plugins. Rejects if a `before` plugin ended it. Where nothing is to be waited for, it has
   * reached the destinations when this returns. Calls `arrive` when it has reached them.
   */
  async run(given: Context, arrive: () => void): Promise<Context> {
    if (this.#loading !== undefined) await this.#loading
    const plugins = this.#plugins
    let ctx = given
    for (const plugin of plugins) {
      if (plugin.type !== "before") continue
      const answer = await attempt(plugin, ctx)
      if (!(answer instanceof Context)) return ctx.cancel(answer as Error)
      ctx = answer
    }
    for (const plugin of plugins) {
      if (plugin.type !== "enrichment") continue
      const answer = await attempt(plugin, ctx)
      if (answer instanceof Context) ctx = answer
    }
    const sent = this.#all("destination", ctx)
    arrive()
    await sent
    await this.#all("after", ctx)
    return ctx
  }

  #all(type: PluginType, ctx: Context): Promise<unknown> {
    const integrations = ctx.event.integrations ?? {}
    return Promise.all(
      this.#plugins
        .filter((plugin) => plugin.type === type && (type !== "destination" || isOn(plugin, integrations)))
        .map((plugin) => attempt(plugin, ctx))
    )
  }
}

const isOn = (
  { alternativeNames = [], name }: Pick<PluginOf<never>, "name" | "alternativeNames">,
  integrations: IntegrationsOptions
): boolean => {
  const named = [name, ...alternativeNames].map((each) => integrations[each]).find((value) => value !== undefined)
  return (named ?? (name === ownName ? true : integrations.All)) !== false
}

/** Runs the hook of a plugin. What it throws is noted, and the answer; a cancelation of the kind for that is thrown on. */
const attempt = async <Analytics>(plugin: PluginOf<Analytics>, ctx: Context): Promise<unknown> => {
  const hook = plugin[ctx.event.type]
  if (hook === undefined) return ctx
  try {
    return await hook.call(plugin, ctx)
  } catch (error) {
    if ((error as { readonly type?: unknown } | null | undefined)?.type === "middleware_cancellation") throw error
    if (error instanceof ContextCancelation) ctx.log("warn", error.type, { plugin: plugin.name, error })
    else ctx.log("error", "plugin Error", { plugin: plugin.name, error })
    return error
  }
}

/** Also what a function throws at once is a rejection. */
const attemptAsync = async (run: () => unknown): Promise<unknown> => run()
