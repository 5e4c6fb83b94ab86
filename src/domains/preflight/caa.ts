/** Whether CAA records (RFC 8659, with the parameters of RFC 8657) let a CA issue for a name. */
import type { Abortable } from '../../store/store.ts';
import type { CaaRecord, Dns } from './dns.ts';
import type { Finding } from './finding.ts';

export interface CaaSubject {
  /** `meta.caaIdentities` of the CA's directory. */
  readonly identities: readonly string[];
  /** URL of the account in use, if there is one yet. */
  readonly account: string | undefined;
  /** Challenge types that may be used. */
  readonly challenges: readonly string[];
}

/** Where a set of records was found, and the records. */
interface CaaSet {
  readonly at: string;
  readonly records: readonly CaaRecord[];
}

const KNOWN_TAGS = new Set([
  'issue',
  'issuewild',
  'iodef',
  'issuemail',
  'contactemail',
  'contactphone',
  'issuevmc',
]);

/** @param name may be a wildcard */
export async function caaFindings(
  dns: Dns,
  name: string,
  subject: CaaSubject,
  options: Abortable,
): Promise<Finding[]> {
  const set = await relevantSet(dns, name.replace(/^\*\./, ''), options);
  if ('failure' in set) {
    return [
      {
        severity: 'problem',
        kind: 'caa',
        name,
        detail: `the DNS servers of ${set.at} do not answer when asked for CAA (${set.failure}): a CA must not issue then`,
        remedy: 'have them answer; often it is DNSSEC, or servers too old to know the type',
      },
    ];
  }
  return judgeCaa(name, set, subject);
}

/** The closest set, climbing from the name towards the root (section 3); an empty one where there is none. */
async function relevantSet(
  dns: Dns,
  name: string,
  options: Abortable,
): Promise<CaaSet | { at: string; failure: string }> {
  const labels = name.split('.');
  for (let at = 0; at < labels.length; at++) {
    const domain = labels.slice(at).join('.');
    const answer = await dns.caa(domain, options);
    if ('failure' in answer) return { at: domain, failure: answer.failure };
    if (answer.records.length > 0) return { at: domain, records: answer.records };
  }
  return { at: name, records: [] };
}

/** What a set says of a CA, in words; nothing where it lets the CA issue. */
export function judgeCaa(name: string, { at, records }: CaaSet, subject: CaaSubject): Finding[] {
  const { identities } = subject;
  const found = (detail: string, remedy: string): Finding[] => [
    { severity: 'problem', kind: 'caa', name, detail, remedy },
  ];
  const unknown = records.find(({ critical, tag }) => critical && !KNOWN_TAGS.has(tag));
  if (unknown) {
    return found(
      `the CAA record '${unknown.tag}' of ${at} is marked critical, and no CA may issue that does not know it`,
      'remove the record, or its critical flag',
    );
  }
  const wild = records.filter(({ tag }) => tag === 'issuewild');
  const tag = name.startsWith('*.') && wild.length > 0 ? 'issuewild' : 'issue';
  const properties = records.filter((record) => record.tag === tag).map(({ value }) => parseIssue(value));
  // Without such a property there is nothing that restricts issuing (section 4.2).
  if (properties.length === 0) return [];
  const [identity = ''] = identities;
  const ours = properties.filter(({ issuer }) => identities.includes(issuer));
  if (ours.length === 0) {
    const allowed = [...new Set(properties.map(({ issuer }) => issuer).filter((issuer) => issuer !== ''))];
    return found(
      `CAA of ${at} allows ${tag === 'issuewild' ? 'wildcards ' : ''}${allowed.join(', ') || 'no CA'}, not ${identities.join(' or ')}`,
      `add the record: ${at}. CAA 0 ${tag} "${identity}"`,
    );
  }
  const obstacles = ours.map((property) => obstacle(property.parameters, subject));
  const [first] = obstacles;
  if (first === undefined || obstacles.includes(undefined)) return [];
  return found(`CAA of ${at} allows ${identity}, but ${first}`, `change the ${tag} record of ${at}`);
}

/** What the parameters of RFC 8657 demand that we don't have. */
function obstacle(
  parameters: ReadonlyMap<string, string>,
  { account, challenges }: CaaSubject,
): string | undefined {
  const [uri, methods] = [parameters.get('accounturi'), parameters.get('validationmethods')];
  if (uri !== undefined && uri !== account) {
    return `only for the account ${uri}; ${account === undefined ? 'there is no account here yet' : `the one here is ${account}`}`;
  }
  if (methods === undefined || challenges.some((type) => methods.split(',').includes(type))) return undefined;
  return `only by ${methods}; possible here: ${challenges.join(', ') || 'none'}`;
}

interface Issue {
  /** Lower case; empty for nobody. */
  readonly issuer: string;
  readonly parameters: ReadonlyMap<string, string>;
}

/** `ca.example; accounturi=…; validationmethods=…` (section 4.2). What is malformed allows nobody. */
export function parseIssue(value: string): Issue {
  const [issuer = '', ...rest] = value.split(';').map((part) => part.trim());
  const parameters = new Map<string, string>();
  for (const part of rest.filter((text) => text !== '')) {
    const [, tag, content] = /^([A-Za-z0-9-]+)\s*=\s*(\S*)$/.exec(part) ?? [];
    if (tag === undefined || content === undefined) return { issuer: '', parameters: new Map() };
    parameters.set(tag.toLowerCase(), content);
  }
  return { issuer: issuer.toLowerCase().replace(/\.$/, ''), parameters };
}
