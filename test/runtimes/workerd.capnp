using Workerd = import "/workerd/workerd.capnp";

# The same worker twice: as workers are today, and without AsyncLocalStorage, as they were before it was the default.
# And the worker of docs/platforms.md.
const config :Workerd.Config = (
  services = [
    (name = "today", worker = .today),
    (name = "bare", worker = .bare),
    (name = "guide", worker = .guide),
    (name = "internet", network = (allow = ["local"]))
  ],
  sockets = [
    (name = "today", address = "127.0.0.1:0", http = (), service = "today"),
    (name = "bare", address = "127.0.0.1:0", http = (), service = "bare"),
    (name = "guide", address = "127.0.0.1:0", http = (), service = "guide")
  ]
);

const today :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js")],
  bindings = [(name = "PEER", fromEnvironment = "PEER"), (name = "SURROUNDINGS", json = "true")],
  compatibilityDate = "2026-11-01"
);

const bare :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js")],
  bindings = [(name = "PEER", fromEnvironment = "PEER"), (name = "SURROUNDINGS", json = "false")],
  compatibilityDate = "2024-09-01"
);

const guide :Workerd.Worker = (
  modules = [(name = "guide.js", esModule = embed "guide.js")],
  bindings = [(name = "SEGMENT_WRITE_KEY", text = "test-write-key")],
  compatibilityDate = "2026-11-01"
);
