/** Writes and delivers, by a file that others may have open as well. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Analytics from "../../src/Analytics.ts"
import * as SqlOutbox from "../../src/SqlOutbox.ts"
import { life, live, track, transport } from "./living.ts"

const outbox = SqlOutbox.layerSqlite({ directory: life.place, ...life.outbox })
const analytics = Analytics.layerNoDeps(life.delivery).pipe(Layer.provide([outbox, transport]))

live(Effect.andThen(track, Effect.never).pipe(Effect.provide(analytics)))
