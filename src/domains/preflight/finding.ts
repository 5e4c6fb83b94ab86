/** One thing that may keep a CA from validating a name, found without asking the CA. */
export interface Finding {
  /** `problem`: a CA will most likely stumble over it. `hint`: it can't be told from here, or will matter later. */
  readonly severity: 'problem' | 'hint';
  readonly kind: 'dns' | 'caa' | 'reach';
  /** The name, or the managed domain, that it is about. */
  readonly name: string;
  readonly detail: string;
  readonly remedy: string;
}
