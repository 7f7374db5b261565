/** The language server of the compiler, as an editor talks to it: JSON-RPC over its standard streams. */
import { spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

interface Message {
  readonly id?: number
  readonly method?: string
  readonly result?: unknown
  readonly error?: { readonly message: string }
}

/** The words of a completion. */
interface Resolved {
  readonly detail?: string
  readonly documentation?: { readonly value: string }
}

/** A place in a text: both count from 0. */
interface Position {
  readonly line: number
  readonly character: number
}

const root = new URL("../", import.meta.url)
const tsc = fileURLToPath(new URL("node_modules/typescript/lib/tsc.js", root))

/** Starts the language server for this project. */
export const start = async () => {
  const server = spawn(process.execPath, [tsc, "--lsp", "--stdio"], {
    cwd: fileURLToPath(root),
    stdio: ["pipe", "pipe", "ignore"]
  })
  const waiting = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>()
  const exited = new Promise<void>((resolve) => server.on("exit", () => resolve()))
  void exited.then(() => {
    for (const { reject } of waiting.values()) reject(new Error("the language server has ended"))
  })

  const write = (message: object) => {
    const body = JSON.stringify({ jsonrpc: "2.0", ...message })
    server.stdin.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
  }

  let received = Buffer.alloc(0)
  const read = (): Message | undefined => {
    const end = received.indexOf("\r\n\r\n")
    if (end < 0) return undefined
    const length = Number(/Content-Length: (\d+)/i.exec(received.toString("latin1", 0, end))?.[1])
    if (received.length < end + 4 + length) return undefined
    const body = received.toString("utf8", end + 4, end + 4 + length)
    received = received.subarray(end + 4 + length)
    return JSON.parse(body) as Message
  }
  server.stdout.on("data", (chunk: Buffer) => {
    received = Buffer.concat([received, chunk])
    for (let message = read(); message !== undefined; message = read()) {
      if (message.id === undefined) continue
      // The server asks for the editor's configuration, and the like: there is none.
      if (message.method !== undefined) write({ id: message.id, result: null })
      else if (message.error !== undefined) waiting.get(message.id)?.reject(new Error(message.error.message))
      else waiting.get(message.id)?.resolve(message.result)
    }
  })

  let lastId = 0
  const request = <A>(method: string, params?: object): Promise<A> =>
    new Promise((resolve, reject) => {
      const id = ++lastId
      waiting.set(id, { resolve: resolve as (result: unknown) => void, reject })
      write({ id, method, params })
    })

  await request("initialize", {
    processId: process.pid,
    rootUri: root.href,
    capabilities: {
      textDocument: {
        hover: { contentFormat: ["plaintext"] },
        completion: { completionItem: { documentationFormat: ["plaintext"] } }
      }
    }
  })
  write({ method: "initialized", params: {} })

  return {
    /** Opens a file of the project. */
    open: (path: string) => {
      const file = new URL(path, root)
      const text = readFileSync(file, "utf8")
      const textDocument = { uri: file.href }
      write({
        method: "textDocument/didOpen",
        params: { textDocument: { ...textDocument, languageId: "typescript", version: 1, text } }
      })
      return {
        text,
        /** What the editor shows when the pointer rests there. */
        hover: async (position: Position): Promise<string> => {
          const hover = await request<{ readonly contents: { readonly value: string } } | null>("textDocument/hover", {
            textDocument,
            position
          })
          return hover?.contents.value ?? ""
        },
        /** What the editor offers there: the words that it shows, by name. */
        completions: async (position: Position): Promise<ReadonlyMap<string, string>> => {
          const list = await request<{ readonly items: ReadonlyArray<{ readonly label: string }> } | null>(
            "textDocument/completion",
            { textDocument, position, context: { triggerKind: 1 } }
          )
          const words = async (item: { readonly label: string }) => {
            const { detail, documentation } = await request<Resolved>("completionItem/resolve", item)
            return [item.label.replace(/\?$/, ""), `${detail}\n${documentation?.value ?? ""}`] as const
          }
          return new Map(await Promise.all((list?.items ?? []).map(words)))
        }
      }
    },
    stop: async () => {
      await request("shutdown")
      write({ method: "exit" })
      await exited
    }
  }
}
