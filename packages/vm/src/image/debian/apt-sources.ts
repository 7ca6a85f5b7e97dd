/** apt's own list of archives, in both formats (sources.list(5)). */
import type { Files } from '../../base/ports.ts';
import { parseParagraphs } from './control.ts';

export interface AptSource {
  /** Without trailing slash. */
  readonly uri: string;
  readonly suites: readonly string[];
}

const trimSlash = (uri: string): string => uri.replace(/\/+$/, '');
const words = (text: string | undefined): string[] => (text ?? '').split(/\s+/).filter((word) => word !== '');

/** One-line style: `deb [option=value …] URI SUITE COMPONENT…`. */
export function parseSourcesList(text: string): AptSource[] {
  const sources: AptSource[] = [];
  for (const line of text.split('\n')) {
    const match = /^\s*deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)/.exec(line.replace(/#.*$/, ''));
    if (match !== null) sources.push({ uri: trimSlash(match[1] ?? ''), suites: [match[2] ?? ''] });
  }
  return sources;
}

/** deb822 style: paragraphs with Types, URIs, Suites. */
export function parseDeb822Sources(text: string): AptSource[] {
  return parseParagraphs(text)
    .filter((paragraph) => words(paragraph.get('types')).includes('deb'))
    .filter((paragraph) => !/^(no|false|0|off|without|disable)$/i.test(paragraph.get('enabled') ?? 'yes'))
    .flatMap((paragraph) => {
      const suites = words(paragraph.get('suites'));
      return words(paragraph.get('uris')).map((uri) => ({ uri: trimSlash(uri), suites }));
    });
}

const APT_FOLDER = '/etc/apt';

/** The HTTP archives of the host's apt, in apt's order; none when there is no apt. */
export async function readAptSources(files: Files, folder: string = APT_FOLDER): Promise<AptSource[]> {
  const decoder = new TextDecoder();
  const paths = [`${folder}/sources.list`];
  for (const name of await files.list(`${folder}/sources.list.d`))
    paths.push(`${folder}/sources.list.d/${name}`);
  const sources: AptSource[] = [];
  for (const path of paths) {
    if (!/\.(list|sources)$/.test(path)) continue;
    const bytes = await files.read(path).catch(() => undefined);
    if (bytes === undefined) continue;
    const text = decoder.decode(bytes);
    sources.push(...(path.endsWith('.list') ? parseSourcesList(text) : parseDeb822Sources(text)));
  }
  return sources.filter((source) => /^https?:\/\//.test(source.uri));
}
