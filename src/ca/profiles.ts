/** Kinds of certificates that an order may ask for (draft-ietf-acme-profiles). */
const HOUR = 3_600_000;

export interface Profile {
  /** For people, in the directory. */
  readonly description: string;
  /** ms at most; undefined: as long as the CA's certificates last. */
  readonly lifetime: number | undefined;
  /** Whether a certificate names where its revocation can be asked for. */
  readonly revocable: boolean;
}

export const profileNames = ['default', 'shortlived'] as const;
export type ProfileName = (typeof profileNames)[number];

export const profiles: Readonly<Record<ProfileName, Profile>> = {
  default: {
    description: 'As long as the CA is set to (LocalCALifetime), with OCSP and a revocation list',
    lifetime: undefined,
    revocable: true,
  },
  // As Let's Encrypt's: it ends before many a client had heard of a revocation.
  shortlived: {
    description: 'At most 160 hours, without OCSP and revocation list',
    lifetime: 160 * HOUR,
    revocable: false,
  },
};

/** The profile of that name; undefined where there is none. */
export function profileNamed(name: string): ProfileName | undefined {
  return profileNames.find((known) => known === name);
}
