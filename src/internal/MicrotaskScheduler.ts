/**
 * A scheduler of fibers that needs no timer: the fibers of test clients go on where timers are fake.
 *
 * Effect's own uses `setImmediate`, or `setTimeout` where there is none. Test libraries replace both, and `queueMicrotask` and
 * `process.nextTick` as well; promises they leave alone.
 */
import * as Layer from "effect/Layer"
import * as Scheduler from "effect/Scheduler"

const afterPromise = (task: () => void): (() => void) => {
  let isCancelled = false
  void Promise.resolve().then(() => {
    if (!isCancelled) task()
  })
  return () => {
    isCancelled = true
  }
}

export const layer: Layer.Layer<never> = /* @__PURE__ */ Layer.sync(
  Scheduler.Scheduler,
  () => new Scheduler.MixedScheduler("async", afterPromise)
)
