/**
 * The disassembler and the decoder against iced-x86: text on byte strings that the encoder makes, validity, length
 * and mnemonic on random bytes. Where the two only write the same thing differently, `normal` says so.
 */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { generate, shapeName, shapesOf } from '../../../../test/oracle/generate.ts';
import { Random } from '../../../../test/oracle/random.ts';
import { type Disassembled, Disassembler } from './disasm.ts';
import { ROWS } from './isa/index.ts';

const iced = createRequire(import.meta.url)('iced-x86') as typeof import('iced-x86');
const ADDRESS = 0x10000000n;
const RANDOM_STRINGS = process.env['VIV_TEST_SHORT'] === '1' ? 100_000 : 1_000_000;

function outsideFormatter(): import('iced-x86').Formatter {
  const f = new iced.Formatter(iced.FormatterSyntax.Intel);
  f.hexPrefix = '0x';
  f.hexSuffix = '';
  f.uppercaseHex = false;
  f.smallHexNumbersInDecimal = false;
  f.addLeadingZeroToHexNumbers = false;
  f.branchLeadingZeros = false;
  f.displacementLeadingZeros = false;
  f.spaceAfterOperandSeparator = true;
  f.memorySizeOptions = iced.MemorySizeOptions.Always;
  f.usePseudoOps = false;
  return f;
}

/** Takes out of both texts what is a matter of taste; ADR 0025 lists it. */
function normal(text: string): string {
  return (
    text
      .replace(/\[rel /, '[')
      // prefixes that change nothing, the distance of a jump
      .replace(
        /\b(data16|data32|data64|addr32|xacquire|xrelease|bnd|hint-taken|hint-not-taken|notrack|short) /g,
        '',
      )
      // reserved NOPs have a register operand that nobody can see
      .replace(/^nop (.*), \w+$/, 'nop $1')
      // string instructions: operands are implied but for a segment
      .replace(
        /^((?:lock |rep |repe |repne )*)(?:[c-g]s )?(xlat|movs|cmps|stos|lods|scas|ins|outs)([bwdq]?) .*$/,
        '$1$2$3',
      )
      .replace(
        /^((?:rep |repe |repne )*)(?:[c-g]s )?(xlat|movs|cmps|stos|lods|scas|ins|outs)([bwdq]?)$/,
        '$2$3',
      )
      .replace(/^(ro[lr]|rc[lr]|s[ah][lr]) (.*), 1$/, '$1 $2, 0x1')
      .replace(/\bst\(0\)/g, 'st')
      // x87: ST(0) as the other operand is implied
      .replace(/^(f\w+) st, (\w+ ptr )/, '$1 $2')
      .replace(/^(fld|fxch|fu?comp?) st, /, '$1 ')
      .replace(/^(fi?stt?p?|fstpnce|fbstp) (.*), st$/, '$1 $2')
      .replace(/^ret far/, 'retf')
      .replace(/^(p?blendv\w+ \w+, .*), xmm0$/, '$1')
      .replace(/^(pcmpestr[im])64/, '$1')
      .replace(/^crc32 e?([a-ds][xpi]|r\d+)d?,/, 'crc32 r$1,')
      .replace(/^crc32 rr/, 'crc32 r')
      .replace(/^(jmp|call) far (0x\w+), (0x\w+)$/, '$1 far $3:$2')
      // selectors are 16 bits wherever they come from
      .replace(
        /^(lar|lsl) (\w+), (r\d+|[re]?[a-ds][xpi])[dw]?$/,
        (_, name, to, from) => `${name} ${to}, ${from.replace(/^[re](?=[a-ds][xpi])/, '')}`,
      )
  );
}

/** Hints and reserved NOPs: ours has the rows of the manual's hint space, others name what newer CPUs hint at. */
const HINT = /^(nop|reservednop|prefetch\w*|cldemote|endbr(32|64)|bnd\w+|rdssp[dq]|pause)$/;
/** Encodings that have a row, whose semantics then raise #UD. */
const LEFT_TO_SEMANTICS =
  /^mov (cs,|cr([15679]|1\d)|\w+, cr([15679]|1\d)|\w+, dr([89]|1\d)|dr([89]|1\d))|^vmcall/;

interface Outside {
  readonly text: string;
  readonly name: string;
  readonly length: number;
  readonly valid: boolean;
  readonly features: readonly string[];
}

function outside(mode: 64 | 32, code: Uint8Array, formatter: import('iced-x86').Formatter | null): Outside {
  const decoder = new iced.Decoder(mode, code, iced.DecoderOptions.None);
  decoder.ip = ADDRESS;
  const found = decoder.decode();
  const valid = found.code !== iced.Code.INVALID;
  const result: Outside = {
    text: !valid ? '(bad)' : (formatter?.format(found) ?? ''),
    name: valid ? (iced.Mnemonic[found.mnemonic] ?? '').toLowerCase() : '(bad)',
    length: found.length,
    valid,
    features: valid ? [...found.cpuidFeatures()].map((f) => iced.CpuidFeature[f] ?? '') : [],
  };
  found.free();
  decoder.free();
  return result;
}

test('every encoding reads as it does elsewhere', () => {
  const random = new Random(25);
  const formatter = outsideFormatter();
  const differences = new Map<string, string>();
  const disassemblers = { 64: new Disassembler(2), 32: new Disassembler(1) };
  let count = 0;
  for (const shape of ROWS.flatMap(shapesOf)) {
    for (let k = 0; k < 12; k++) {
      const { code } = generate(shape, random).test;
      const ours = disassemblers[shape.mode].at(code, 0, ADDRESS);
      assert.ok(ours);
      const theirs = outside(shape.mode, code, formatter);
      count++;
      if (!theirs.valid && LEFT_TO_SEMANTICS.test(ours.text)) continue;
      if (
        ours.length === theirs.length &&
        ours.text.match(/^(nop|prefetch)/) !== null &&
        HINT.test(theirs.name)
      )
        continue;
      // addresses that are only formed, hinted at or structures of their own have no size here
      const text = ours.text.includes(' ptr ') ? theirs.text : theirs.text.replace(/\b\w+ ptr /, '');
      if (ours.length === theirs.length && normal(ours.text) === normal(text)) continue;
      const hex = Buffer.from(code).toString('hex');
      const name = shapeName(shape);
      differences.set(
        name,
        `${name}: ${hex}: "${ours.text}" (${ours.length}), elsewhere "${text}" (${theirs.length})`,
      );
    }
  }
  assert.ok(count > 20_000, `only ${count} strings`);
  assert.equal([...differences.values()].join('\n'), '');
});

/** Extensions this CPU model has, by iced's names; what else is valid elsewhere must be undefined here. */
const FEATURES =
  /^(INTEL\d+|FPU(\d+)?|CMOV|CX8|CMPXCHG16B|CLFSH|CPUID|FSGSBASE|FXSR|MMX|MOVBE|MSR|MULTIBYTENOP|PAUSE|POPCNT|PREFETCHW|PREFETCHWT1|PREFETCHITI|CLDEMOTE|CET_IBT|MPX|RDPMC|RDRAND|RDSEED|RDTSCP|SEP|SMAP|SSE|SSE2|SSE3|SSSE3|SSE4_1|SSE4_2|SYSCALL|TSC|X64|WBNOINVD)$/;

test('random bytes are valid, as long and called the same elsewhere', () => {
  const random = new Random(26);
  const lines: string[] = [];
  const disassemblers = { 64: new Disassembler(2), 32: new Disassembler(1) };
  const code = new Uint8Array(16);
  let valid = 0;
  for (let i = 0; i < RANDOM_STRINGS && lines.length < 400; i++) {
    for (let k = 0; k < 16; k += 4) new DataView(code.buffer).setUint32(k, random.u32());
    // half of them in the two-byte maps, with and without a prefix
    if (random.chance(50)) {
      let at = 0;
      if (random.chance(40)) code[at++] = random.pick([0x66, 0xf2, 0xf3, 0xf0]);
      if (random.chance(20)) code[at++] = 0x48;
      code[at++] = 0x0f;
      if (random.chance(30)) code[at] = random.pick([0x38, 0x3a]);
    }
    const mode = random.chance(70) ? 64 : 32;
    const ours = disassemblers[mode].at(code, 0, ADDRESS);
    assert.ok(ours);
    const theirs = outside(mode, code, null);
    if (ours.row !== null) valid++;
    if (same(ours, theirs)) continue;
    const hex = Buffer.from(code).toString('hex');
    lines.push(
      `${mode} ${hex}: ${ours.text} (${ours.length}), elsewhere ${theirs.name} (${theirs.length}) ${theirs.features.join(' ')}`,
    );
  }
  assert.ok(valid > RANDOM_STRINGS / 4, `only ${valid} instructions`);
  assert.equal(lines.join('\n'), '');
});

function same(ours: Disassembled, theirs: Outside): boolean {
  if (ours.row === null)
    return !theirs.valid || ONLY_AMD.test(theirs.name) || !theirs.features.every((f) => FEATURES.test(f));
  if (!theirs.valid) return LEFT_TO_SEMANTICS.test(ours.text);
  if (ours.length !== theirs.length) return false;
  const name = ours.text.replace(/^(lock |rep |repe |repne |[c-gs]s )*/, '').replace(/ .*/, '');
  if (name === 'nop' || ours.text.startsWith('prefetch')) return HINT.test(theirs.name);
  return name === theirs.name || SYNONYMS[name] === theirs.name;
}
/** Our name: the outside's. */
const SYNONYMS: Readonly<Record<string, string>> = {
  fwait: 'wait',
  xlat: 'xlatb',
  xchg: 'nop',
  shl: 'sal',
  // prefixes that mean something on newer CPUs only
  bsf: 'tzcnt',
  bsr: 'lzcnt',
  wbinvd: 'wbnoinvd',
  vmmcall: 'vmgexit',
  pcmpestrm: 'pcmpestrm64',
  pcmpestri: 'pcmpestri64',
};
/** AMD's CPUs have these outside 64-bit mode; the portable model follows Intel there. */
const ONLY_AMD = /^(syscall|sysret)$/;
