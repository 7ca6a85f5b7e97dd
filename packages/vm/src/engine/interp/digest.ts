/**
 * A fingerprint of what the generated module and the decoder must agree on: the forms and their order, the
 * micro-operations, the layout of state and records. It travels in a custom section of the module.
 */
import * as S from '../../x86/state.ts';
import { FORMS, MICRO } from './handlers.ts';

export const DIGEST_SECTION = 'vivarium';

let digest = '';

/** FNV-1a over the names and numbers, as hexadecimal text. */
export function tableDigest(): string {
  if (digest !== '') return digest;
  let hash = 0x811c9dc5;
  const add = (text: string): void => {
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  };
  for (const { row, opsize, memory } of FORMS) add(`${row.text}/${opsize}/${memory}`);
  add(JSON.stringify(MICRO));
  add(JSON.stringify(Object.entries(S).filter(([, value]) => typeof value !== 'function')));
  digest = (hash >>> 0).toString(16);
  return digest;
}
