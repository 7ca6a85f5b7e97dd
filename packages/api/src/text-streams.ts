/** Streams of text in small pieces: lines, NDJSON, server-sent events (HTML standard, 9.2). */
import { apiError } from './api-error.ts';

const MAX_LINE_CHARACTERS = 4 << 20;

/** Lines without their end (LF, CR LF). What follows the last end is no line. */
export async function* lines(body: AsyncIterable<Uint8Array>): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const bytes of body) {
    rest += decoder.decode(bytes, { stream: true });
    let begin = 0;
    for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n', begin)) {
      yield rest.slice(begin, rest[end - 1] === '\r' && end > begin ? end - 1 : end);
      begin = end + 1;
    }
    rest = rest.slice(begin);
    if (rest.length > MAX_LINE_CHARACTERS)
      throw apiError('INTERNAL', 'The daemon sent a line without an end.');
  }
}

export async function* jsonLines(body: AsyncIterable<Uint8Array>): AsyncGenerator<unknown, void, undefined> {
  for await (const line of lines(body)) if (line !== '') yield JSON.parse(line);
}

export interface ServerSentEvent {
  /** The last that was given, by this event or one before. */
  readonly id: string;
  /** Empty: it only says where a client would resume. */
  readonly data: string;
}

/** Comments are heard but not given. */
export async function* serverSentEvents(
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<ServerSentEvent, void, undefined> {
  let id = '';
  let given = '';
  let data: string[] = [];
  for await (const line of lines(body)) {
    if (line === '') {
      if (data.length > 0 || id !== given) yield { id, data: data.join('\n') };
      data = [];
      given = id;
      continue;
    }
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (field === 'data') data.push(value);
    else if (field === 'id' && !value.includes('\0')) id = value;
  }
}
