/** The faults of `docs/reliability.md`, each as a peer and the calls that are made to a client meanwhile. */
import type { Answer, Entry, FaultSink, Options as SinkOptions } from "../../test/FaultSink.ts"

/** What is called, by name: the objects themselves could not travel to the process that makes the calls. */
export type Calls =
  | "ten"
  | "ten, one a poison"
  | "ten, one circular"
  | "ten, one throws"
  | "ten, one of 33 KB"
  | "ten, one of 10 MB"
  | "300,000"

export interface Case {
  /** The row of the failure matrix. */
  readonly id: string
  readonly fault: string
  readonly calls: Calls
  readonly peer: Omit<SinkOptions, "remember">
  readonly script?: ReadonlyArray<Answer>
  /** The peer is not there at all, and the client has so many megabytes of heap. */
  readonly alone?: { readonly heap: number }
  /** Milliseconds that the close may take. */
  readonly closeTimeout?: number
  /** What there is to say besides what became of the messages. */
  readonly remark?: (sink: FaultSink) => string
}

const times = (count: number, what: string) => `${count} ${what}${count === 1 ? "" : "s"}`
const requests = (sink: FaultSink) => times(sink.totals().requests, "request")
const hasPoison = (messages: ReadonlyArray<Entry>) => messages.some(({ event }) => event === "poison")

/** Nine small messages are far below this, one message above the API's limit is not. */
const tooLarge = (_: ReadonlyArray<Entry>, bytes: number) => (bytes > 32_768 ? 400 : 200)

/** Answers the first request by hand, and the others with 200. */
const first = (answer: () => Answer) => {
  let asked = false
  return () => {
    if (asked) return 200
    asked = true
    return answer()
  }
}

const gap = ({ requests: [one, two] }: FaultSink) =>
  one === undefined || two === undefined
    ? "did not come back"
    : `came back after ${((two.at - one.at) / 1_000).toFixed(1)} s`

export const makeCases = (elsewhere: FaultSink): ReadonlyArray<Case> => [
  { id: "H2", fault: "503 twice", calls: "ten", peer: {}, script: [503, 503], remark: requests },
  {
    id: "H1",
    fault: "429 with a Retry-After of 3 seconds",
    calls: "ten",
    peer: {},
    script: [{ status: 429, headers: { "retry-after": "3" } }],
    remark: gap
  },
  {
    id: "H1",
    fault: "429 with a Retry-After that is a date, 4 to 5 seconds ahead",
    calls: "ten",
    peer: {
      otherwise: first(() => {
        const date = new Date(Math.ceil(Date.now() / 1_000 + 4) * 1_000)
        return { status: 429, headers: { "retry-after": date.toUTCString() } }
      })
    },
    remark: gap
  },
  {
    id: "H1",
    fault: "503 with a Retry-After of 3 seconds",
    calls: "ten",
    peer: {},
    script: [{ status: 503, headers: { "retry-after": "3" } }],
    remark: gap
  },
  {
    id: "H4",
    fault: "the connection is reset instead of an answer",
    calls: "ten",
    peer: {},
    script: ["reset after"],
    remark: requests
  },
  { id: "H5", fault: "200, and a body without end", calls: "ten", peer: {}, script: ["endless"], remark: requests },
  {
    id: "H8",
    fault: "413 for more than 3 messages",
    calls: "ten",
    peer: { otherwise: (messages) => (messages.length > 3 ? 413 : 200) },
    remark: requests
  },
  {
    id: "H9",
    fault: "400 because of one message in ten",
    calls: "ten, one a poison",
    peer: { otherwise: (messages) => (hasPoison(messages) ? 400 : 200) },
    remark: requests
  },
  { id: "H10", fault: "400 for everything", calls: "ten", peer: { otherwise: 400 }, remark: requests },
  { id: "H10", fault: "401, a wrong key", calls: "ten", peer: { otherwise: 401 }, remark: requests },
  {
    id: "H11",
    fault: "a captive portal (200, HTML), for one request",
    calls: "ten",
    peer: { otherwise: 200 },
    // What a portal answers is not taken in by anybody.
    script: [{ status: 200, headers: { "content-type": "text/html" }, body: "<html>Please pay</html>", taken: false }],
    remark: requests
  },
  {
    id: "H12",
    fault: "200 with success: false",
    calls: "ten",
    peer: { otherwise: { status: 200, body: `{"success":false}`, taken: false } },
    remark: requests
  },
  {
    id: "H13",
    fault: "302",
    calls: "ten",
    peer: {},
    script: [{ status: 302, headers: { location: "/elsewhere" } }],
    remark: requests
  },
  {
    id: "H13",
    fault: "307 to another host",
    calls: "ten",
    peer: { otherwise: { status: 307, headers: { location: `${elsewhere.host}/v1/batch` } } },
    remark: () => {
      const { arrived } = elsewhere.totals()
      return arrived === 0
        ? "the other host got nothing"
        : `the other host got ${times(arrived, "message")} and the write key`
    }
  },
  {
    id: "H16",
    fault: "an answer that comes after the timeout",
    calls: "ten",
    peer: {},
    script: [{ status: 200, delay: 1_500 }],
    remark: requests
  },
  {
    id: "P5",
    fault: "a peer that never answers, and a close with a deadline of 2 seconds",
    calls: "ten",
    peer: { otherwise: "silence" },
    closeTimeout: 2_000
  },
  { id: "I1", fault: "a call with a circular reference", calls: "ten, one circular", peer: {} },
  { id: "I2", fault: "a call with a getter that throws", calls: "ten, one throws", peer: {} },
  {
    id: "I7",
    fault: "a message of 33 KB, to which the API says 400",
    calls: "ten, one of 33 KB",
    peer: { otherwise: tooLarge },
    remark: requests
  },
  {
    id: "I7",
    fault: "a message of 10 MB, to which the API says 400",
    calls: "ten, one of 10 MB",
    peer: { otherwise: tooLarge },
    remark: requests
  },
  {
    id: "P16",
    fault: "300,000 calls, nobody at the other end, a heap of 64 MB",
    calls: "300,000",
    peer: {},
    alone: { heap: 64 }
  }
]
