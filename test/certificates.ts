/** Certificates from a CA of our own, made when they are asked for: nothing that expires is kept in the repository. */
import { generate } from "selfsigned"

type SelfsignedOptions = NonNullable<Parameters<typeof generate>[1]>

interface Certificate {
  readonly key: string
  readonly cert: string
}

/** What a peer at 127.0.0.1 may show: a good certificate, and every kind that is none. */
export interface Certificates {
  /** The CA that a client has to trust; it signed all but `selfSigned`. */
  readonly authority: string
  readonly good: Certificate
  readonly expired: Certificate
  readonly notYetValid: Certificate
  /** Good, but for another host. */
  readonly otherHost: Certificate
  readonly selfSigned: Certificate
}

const day = 86_400_000
const ec = { keyType: "ec", curve: "P-256", algorithm: "sha256" } as const

const names = (ip: string): NonNullable<SelfsignedOptions["extensions"]> => [
  { name: "subjectAltName", altNames: [{ type: 7, ip }] }
]

const named = (value: string) => [{ name: "commonName", value }]

export const makeCertificates = async (): Promise<Certificates> => {
  const ca = await generate(named(`test CA ${crypto.randomUUID()}`), {
    ...ec,
    extensions: [
      { name: "basicConstraints", cA: true, critical: true },
      { name: "keyUsage", keyCertSign: true, critical: true }
    ]
  })
  const sign = async (from: number, to: number, ip = "127.0.0.1"): Promise<Certificate> => {
    const now = Date.now()
    const made = await generate(named(ip), {
      ...ec,
      ca: { key: ca.private, cert: ca.cert },
      notBeforeDate: new Date(now + from * day),
      notAfterDate: new Date(now + to * day),
      extensions: names(ip)
    })
    return { key: made.private, cert: made.cert }
  }
  const alone = await generate(named("127.0.0.1"), { ...ec, extensions: names("127.0.0.1") })
  return {
    authority: ca.cert,
    good: await sign(-1, 30),
    expired: await sign(-30, -1),
    notYetValid: await sign(1, 30),
    otherHost: await sign(-1, 30, "192.0.2.1"),
    selfSigned: { key: alone.private, cert: alone.cert }
  }
}
