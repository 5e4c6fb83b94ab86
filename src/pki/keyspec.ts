/** What kind of private key a certificate has (MDPrivateKeys). */
export type KeySpec =
  | { readonly type: 'RSA'; readonly bits: number }
  /** `name` as configured, in lower case (`secp384r1`, `p-256`): it is part of file names. */
  | { readonly type: 'EC'; readonly name: string };
