/** The cipher suites that are offered unless a configuration says otherwise, by OpenSSL's names, best first. */

/** Of TLS 1.2: Mozilla's "intermediate" without DHE: forward secrecy and AEAD for every client of the last ten years. */
export const modernCiphers: readonly string[] = [
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
];

/** Of TLS 1.3: OpenSSL's own. */
export const modernSuites: readonly string[] = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_GCM_SHA256',
];
