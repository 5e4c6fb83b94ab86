/** The httpd whose configuration language this is: what `<IfVersion>` compares with. */
const HTTPD_VERSION = '2.4.71';

const SHAPE = /^\d+(\.\d+(\.\d+)?)?$/;

/**
 * mod_version's comparison. `operator` is one of = == > >= < <= ~ (with `!` before it to negate), `version` is
 * `major[.minor[.patch]]`, or a regular expression after `~` or between slashes. Gives undefined for an
 * operator there is not, and throws a SyntaxError for a version or expression that is none.
 */
export function compareVersion(operator: string, version: string): boolean | undefined {
  const negated = operator.startsWith('!') && operator.length > 1;
  const plain = negated ? operator.slice(1) : operator;
  const result = compare(plain, version);
  return result === undefined ? undefined : result !== negated;
}

function compare(operator: string, version: string): boolean | undefined {
  const slashed = /^\/(.*)\/$/.exec(version)?.[1];
  if ((operator === '=' || operator === '==') && slashed !== undefined) return matches(slashed);
  switch (operator) {
    case '=':
    case '==':
      return order(version) === 0;
    case '>':
      return order(version) > 0;
    case '>=':
      return order(version) >= 0;
    case '<':
      return order(version) < 0;
    case '<=':
      return order(version) <= 0;
    case '~':
      return matches(version);
    default:
      return undefined;
  }
}

function matches(pattern: string): boolean {
  return new RegExp(pattern).test(HTTPD_VERSION);
}

/** Our version against another: below, at or above 0. What the other leaves out counts as 0. */
function order(version: string): number {
  if (!SHAPE.test(version)) throw new SyntaxError(`version '${version}'`);
  const theirs = version.split('.').map(Number);
  for (const [index, ours] of HTTPD_VERSION.split('.').map(Number).entries()) {
    const difference = ours - (theirs[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
