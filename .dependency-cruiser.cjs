// Without its parser dependency-cruiser would see no TypeScript at all, and be content.
require("@swc/core")

/**
 * The order of the modules. A module may import those before it, never those after it: a new module is a new name where it
 * belongs. A file without a place in the list is refused, so that nobody forgets.
 */
const order = [
  ...[
    "AnalyticsError",
    "internal/Issue",
    "Settings",
    "internal/Json",
    "internal/Time",
    "internal/Callback",
    "internal/Builtin",
    "internal/Proxy",
    "internal/Log",
    "internal/WeakCollection"
  ],
  ...[
    "MessageId",
    "RequestContext",
    "CallTypes",
    "Call",
    "Message",
    "internal/SpanLinks",
    "Transform",
    "Call/Slips",
    "Call/CallFault",
    "Call/CallCheck",
    "Analytics/Check",
    "Enrichment"
  ],
  ...[
    "Outcome",
    "Metrics",
    "Observer",
    "Outcome/LossLog",
    "Outcome/Diagnostics",
    "Outcome/MessageEnds",
    "Outcome/Notifier"
  ],
  ...[
    "Outbox/Capacity",
    "Outbox",
    "Outbox/Flushes",
    "MemoryOutbox",
    "Transport",
    "Analytics/Verification",
    "OAuth",
    "Delivery"
  ],
  ...[
    "Destination",
    "Analytics/Submitter",
    "Analytics/AttachedSubmitter",
    "Analytics/Confirmation",
    "Analytics/FanOut",
    "internal/compiled",
    "Analytics",
    "SqlOutbox",
    "TrackingPlan",
    "spec"
  ],
  ...[
    "plain/CallStorage",
    "plain/ExitWarning",
    "plain/Signals",
    "plain",
    "compat",
    "planned",
    "jsonPlan",
    "sqlite",
    "RequestMiddleware",
    "internal/FakeServer",
    "internal/MicrotaskScheduler",
    "AnalyticsTest",
    "plainTest",
    "plannedTest",
    "Collector",
    "Debugger",
    "cli",
    "bin",
    "index"
  ]
]

/**
 * A module is a file, or a folder once one file is not enough, or both. A file of the folder may have a place of its own, before
 * its module.
 */
const at = (...names) => `^src/(${names.join("|")})([.]ts$|/)`
const none = "^$"
const inFolders = (names) => {
  const files = names.filter((name) => name.includes("/"))
  return files.length === 0 ? none : at(...files)
}

const downwardOnly = order.slice(0, -1).map((name, place) => ({
  name: `downward-only/${name}`,
  comment: `Imports go downward only, and these come after ${name}. The order is in .dependency-cruiser.cjs.`,
  severity: "error",
  from: { path: at(name), pathNot: inFolders(order.filter((other) => other.startsWith(`${name}/`))) },
  to: { path: at(...order.slice(place + 1)), pathNot: inFolders(order.slice(0, place + 1)) }
}))

/** Where an installed package is found; not anchored, since node_modules may be a link to somewhere else. */
const installed = (path) => `(^|/)node_modules/${path}`

/** An area of effect that is marked unstable: a change of it must cost few files. */
const onlyImportedBy = (area, ...names) => ({
  name: `only-imported-by/${area}`,
  comment: `effect/${area} is unstable; it is imported only by ${names.join(", ")}.`,
  severity: "error",
  from: { path: "^src/", pathNot: at(...names) },
  to: { path: installed(`effect/dist/${area}/`) }
})

const only = (name, comment, to, ...names) => ({
  name,
  comment: `${comment} only in ${names.join(", ")}.`,
  severity: "error",
  from: { path: "^src/", pathNot: at(...names) },
  to
})

module.exports = {
  forbidden: [
    ...downwardOnly,
    {
      name: "transport-outbox-independent",
      comment: "Outbox and Transport do not know each other: Delivery brings them together.",
      severity: "error",
      from: { path: at("Transport", "Outbox", "MemoryOutbox") },
      to: { path: at("Transport", "Outbox", "MemoryOutbox"), pathNot: ["^src/$1([.]ts$|/)", at("Outbox")] }
    },
    {
      name: "every-file-has-a-place",
      comment: "Give this file its place in the order.",
      severity: "error",
      from: { path: "^src/", pathNot: at(...order) },
      to: {}
    },
    {
      name: "every-imported-file-has-a-place",
      comment: "Give this file its place in the order.",
      severity: "error",
      from: { path: "^src/" },
      to: { path: "^src/", pathNot: at(...order) }
    },
    {
      name: "index-is-a-front-door",
      comment: "The index is for users; inside, import the module itself.",
      severity: "error",
      from: { path: "^src/" },
      to: { path: at("index") }
    },
    {
      name: "index-stays-light",
      comment: "Who imports the index must not get SQL, an HTTP server, the CLI or the test layers, by whatever way.",
      severity: "error",
      from: { path: "^src/index[.]ts$" },
      to: {
        reachable: true,
        path: at(
          ...[
            "SqlOutbox",
            "sqlite",
            "RequestMiddleware",
            "internal/FakeServer",
            "AnalyticsTest",
            "plainTest",
            "plannedTest",
            "Collector",
            "Debugger",
            "cli",
            "bin"
          ]
        )
      }
    },
    {
      name: "plans-stay-light",
      comment: "Who makes and checks a plan loads neither its exchange as JSON, nor the comparison, nor the generator.",
      severity: "error",
      from: { path: "^src/TrackingPlan([.]ts$|/(check|pii|observe)/)" },
      to: { reachable: true, path: "^src/TrackingPlan/(json|diff|codegen)([.]ts$|/)" }
    },
    {
      name: "home-of-the-validator",
      comment: "typebox is an optional peer; it is imported only by the validator of plans from JSON.",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/TrackingPlan/json/Validator[.]ts$" },
      to: { path: installed("typebox/") }
    },
    onlyImportedBy(
      "http",
      "Transport",
      "OAuth",
      "Analytics",
      "AnalyticsTest",
      "RequestMiddleware",
      "Collector",
      "Debugger",
      "cli"
    ),
    onlyImportedBy("net", "RequestContext"),
    onlyImportedBy("sql", "SqlOutbox", "cli"),
    onlyImportedBy("cli", "cli"),
    {
      name: "no-barrels",
      comment: "Import the module (effect/Effect), not the barrel: bundles are a quarter of the size.",
      severity: "error",
      from: { path: "^src/" },
      to: {
        path: ["effect/dist/index", "effect/dist/[^/]+/index", "@effect/[^/]+/dist/index"].map((barrel) =>
          installed(`${barrel}[.]js$`)
        )
      }
    },
    only(
      "optional-peers",
      "An optional peer may be missing; import it",
      { path: installed("@effect/(platform-node|sql-pg)/") },
      "SqlOutbox",
      "Collector",
      "cli",
      "bin"
    ),
    only(
      "node-builtins",
      "The core runs wherever effect does; import Node's own modules",
      { dependencyTypes: ["core"] },
      "SqlOutbox",
      "Collector",
      "Debugger",
      "cli",
      "bin"
    ),
    {
      name: "effect-is-the-only-dependency",
      comment: "The library has no runtime dependency but effect.",
      severity: "error",
      from: { path: "^src/" },
      to: {
        path: installed(""),
        pathNot: installed("(effect|@effect/platform-node|@effect/sql-pg|typebox|csv-parse)/")
      }
    },
    only("bundled", "It is bundled into the command line; import it", { path: installed("csv-parse/") }, "cli"),
    {
      name: "src-stays-in-src",
      comment: "Tests, examples and benchmarks import the library, not the other way round.",
      severity: "error",
      from: { path: "^src/" },
      to: { dependencyTypes: ["local"], pathNot: "^src/" }
    },
    {
      name: "no-unresolvable",
      comment: "There is no such module, or it is not installed.",
      severity: "error",
      from: {},
      to: { couldNotResolve: true }
    },
    {
      name: "no-circular",
      comment: "Two files that need each other are one, or hide a third.",
      severity: "error",
      from: {},
      to: { circular: true }
    },
    {
      name: "no-orphans",
      comment: "Nobody imports this file, and it imports nothing.",
      severity: "error",
      from: { orphan: true, path: "^src/" },
      to: {}
    }
  ],
  options: {
    // TypeScript 7 has no compiler API that dependency-cruiser could parse with.
    // What swc's visitor does not see, imports inside types, is refused by .ci/src.grit.
    parser: "swc",
    doNotFollow: { path: "node_modules" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "default", "types"],
      extensions: [".ts", ".js"]
    }
  }
}
