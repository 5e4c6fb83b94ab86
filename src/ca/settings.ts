/** What the embedded CA is to be (the LocalCA directives fill it in; the library by options). */
export interface LocalCaSettings {
  /** Address (a literal without brackets, loopback unless a whole network is to use it) and port of its ACME server. */
  readonly address: string;
  readonly port: number;
  /** Folder of root, intermediate and state; absolute. */
  readonly dir: string;
  /** Lifetime of certificates, ms; seconds are enough. */
  readonly lifetime: number;
  /** Ports where it validates http-01 and tls-alpn-01. */
  readonly httpPort: number;
  readonly tlsPort: number;
  /** `ADDRESS:PORT` of the DNS server it asks; undefined: the system's. Names under .localhost are loopback. */
  readonly resolver: string | undefined;
  /** Its credential is in `external-account.json` of the folder, made on first use. */
  readonly externalAccountRequired: boolean;
}
