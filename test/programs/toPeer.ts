/** Preloaded into a program (`node --import`): what it would send to the real API goes to `PEER`. */
const { fetch } = globalThis
globalThis.fetch = (url, init) => fetch(String(url).replace("https://api.segment.io", String(process.env.PEER)), init)
