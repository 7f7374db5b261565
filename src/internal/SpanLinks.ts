/** The spans in which calls were made: the span of a batch links to those of its messages. Only sampled spans are kept. */
import * as Context from "effect/Context"
import * as Tracer from "effect/Tracer"
import type { Message } from "../Message.ts"

const spans = new WeakMap<Message, Tracer.AnySpan>()

/** Remembers the span in which a call was made, if there is one. */
export const remember = (message: Message, context: Context.Context<never>): void => {
  const span = Context.getOrUndefined(context, Tracer.ParentSpan)
  if (span?.sampled === true) spans.set(message, span)
}

/** Links of one span, at most: the default limit of OpenTelemetry. */
const maxLinks = 128

/** The links of a batch: each span once. */
export const linksOf = (messages: ReadonlyArray<Message>): ReadonlyArray<Tracer.SpanLink> => {
  const linked = new Set<Tracer.AnySpan>()
  for (const message of messages) {
    const span = spans.get(message)
    if (span !== undefined) linked.add(span)
    if (linked.size === maxLinks) break
  }
  return Array.from(linked, (span) => ({ span, attributes: {} }))
}
