import { defineConfig } from "vitest/config"

export default defineConfig({
  // `effect-analytics/…` is the source here.
  ssr: { resolve: { conditions: ["effect-analytics-source", "module", "node", "development|production"] } },
  test: {
    environment: "node",
    include: ["test/**/*.test.ts"],
    exclude: ["test/projects/**", "**/node_modules/**"],
    runner: "test/runner.ts",
    globalSetup: ["test/sharedPostgres.ts"],
    // Threads start in half the time of forks; two, since a test server and its clients share a worker anyway.
    pool: "threads",
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 10_000,
    teardownTimeout: 10_000,
    unstubEnvs: true,
    restoreMocks: true,
    reporters: ["default"]
  }
})
