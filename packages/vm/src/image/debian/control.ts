/** The control-file syntax of Debian (deb822(5)): paragraphs of `Field: value`, continued by indented lines. */

/** Fields by lower-case name. A continued value keeps its line breaks, without the leading blanks. */
export type Paragraph = ReadonlyMap<string, string>;

export function parseParagraph(text: string): Paragraph {
  const fields = new Map<string, string>();
  let name = '';
  for (const line of text.split('\n')) {
    if (line.startsWith('#')) continue;
    if (/^[ \t]/.test(line)) {
      if (name !== '') fields.set(name, `${fields.get(name) ?? ''}\n${line.trim()}`);
      continue;
    }
    const colon = line.indexOf(':');
    if (colon <= 0) continue;
    name = line.slice(0, colon).trim().toLowerCase();
    fields.set(name, line.slice(colon + 1).trim());
  }
  return fields;
}

export function parseParagraphs(text: string): Paragraph[] {
  return text
    .replaceAll('\r\n', '\n')
    .split(/\n(?:[ \t]*\n)+/)
    .map(parseParagraph)
    .filter((paragraph) => paragraph.size > 0);
}

/** Splits a stream of paragraphs and yields the texts of those whose first field is `Package` with a wanted name. */
export async function* findPackages(
  source: AsyncIterable<Uint8Array>,
  want: (name: string) => boolean,
): AsyncIterable<Paragraph> {
  const decoder = new TextDecoder();
  let rest = '';
  const wanted = (text: string): boolean => {
    if (!text.startsWith('Package: ')) return false;
    const end = text.indexOf('\n');
    return want(end < 0 ? text.slice(9) : text.slice(9, end));
  };
  for await (const chunk of source) {
    const texts = (rest + decoder.decode(chunk, { stream: true })).split('\n\n');
    rest = texts.pop() ?? '';
    for (const text of texts) if (wanted(text)) yield parseParagraph(text);
  }
  if (wanted(rest)) yield parseParagraph(rest);
}
