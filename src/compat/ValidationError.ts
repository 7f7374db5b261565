/** A setting or a call that is not valid: thrown where it is made. @category models @since 0.1.0 */
export class ValidationError extends Error {
  /** The field concerned, e.g. `.userId/anonymousId/previousId/groupId`. */
  field: string

  constructor(field: string, message: string) {
    super(`${field} ${message}`)
    this.field = field
  }
}
