/** Order of Debian versions, [epoch:]upstream[-revision] (deb-version(7)). */

/** Letters sort before other characters; `~` before everything, even the end. */
const weight = (char: string): number => {
  if (char === '~') return -1;
  if (char === '') return 0;
  return /[A-Za-z]/.test(char) ? char.charCodeAt(0) : char.charCodeAt(0) + 256;
};

function compareText(a: string, b: string): number {
  for (let at = 0; at < a.length || at < b.length; at++) {
    const difference = weight(a.charAt(at)) - weight(b.charAt(at));
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Compares alternately the non-digit and the digit parts. */
function compareParts(a: string, b: string): number {
  const parts = (text: string): string[] => text.match(/\D*\d*/g) ?? [];
  const left = parts(a);
  const right = parts(b);
  for (let at = 0; at < left.length || at < right.length; at++) {
    const [textA, textB] = [left[at] ?? '', right[at] ?? ''];
    const letters = compareText(textA.replace(/\d+$/, ''), textB.replace(/\d+$/, ''));
    if (letters !== 0) return letters;
    const digits = (text: string): bigint => BigInt(/\d+$/.exec(text)?.[0] ?? 0);
    const numbers = digits(textA) - digits(textB);
    if (numbers !== 0n) return numbers > 0n ? 1 : -1;
  }
  return 0;
}

/** Negative, zero or positive, as a sort function wants it. */
export function compareVersions(a: string, b: string): number {
  const split = (version: string): [number, string, string] => {
    const [, epoch, rest] = /^(?:(\d+):)?(.*)$/s.exec(version) ?? [];
    const dash = (rest ?? '').lastIndexOf('-');
    const upstream = dash < 0 ? (rest ?? '') : (rest ?? '').slice(0, dash);
    return [Number(epoch ?? 0), upstream, dash < 0 ? '' : (rest ?? '').slice(dash + 1)];
  };
  const [epochA, upstreamA, revisionA] = split(a);
  const [epochB, upstreamB, revisionB] = split(b);
  return epochA - epochB || compareParts(upstreamA, upstreamB) || compareParts(revisionA, revisionB);
}
