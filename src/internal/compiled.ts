/**
 * The place of the compiled Schemas. From source the Schemas of the calls run interpreted; the build writes decoders here that
 * effect's ahead-of-time compiler has made of them (`.ci/compile-schemas.ts`).
 */
export {}
