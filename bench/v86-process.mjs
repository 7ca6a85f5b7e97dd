/**
 * A process that runs a guest under v86, for the benchmarks. Argument: JSON of kernel, initrd, memoryMib, v86,
 * v86Wasm, bios, vgaBios. Speaks as guest-process.mjs does; its guest runs the lines that come over the serial port.
 */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const INIT_MARK = /Run \/init as init process/;
const READY_MARK = /@ready\n/;
const BEGIN_MARK = /@begin\n/;
const END_MARK = /@end (\d+)\n/;

const options = JSON.parse(process.argv[2] ?? '{}');
const say = (record) => process.stdout.write(`${JSON.stringify(record)}\n`);
const bytesOf = (path) => {
  const { buffer, byteOffset, byteLength } = readFileSync(path);
  return { buffer: buffer.slice(byteOffset, byteOffset + byteLength) };
};

const { V86 } = await import(options.v86);
const emulator = new V86({
  wasm_path: options.v86Wasm,
  memory_size: options.memoryMib * 2 ** 20,
  vga_memory_size: 2 * 2 ** 20,
  bios: bytesOf(options.bios),
  vga_bios: bytesOf(options.vgaBios),
  bzimage: bytesOf(options.kernel),
  initrd: bytesOf(options.initrd),
  cmdline: 'console=ttyS0 panic=-1 mitigations=off tsc=reliable nowatchdog random.trust_cpu=on',
  autostart: true,
  disable_keyboard: true,
  disable_mouse: true,
  disable_speaker: true,
});

let text = '';
let waiting = () => {};
emulator.add_listener('serial0-output-byte', (byte) => {
  text += String.fromCharCode(byte);
  if (byte === 10) waiting();
});

/** @returns what came before the mark, and the mark */
function until(pattern) {
  return new Promise((resolve) => {
    waiting = () => {
      const match = pattern.exec(text);
      if (match === null) return;
      const before = text.slice(0, match.index);
      text = text.slice(match.index + match[0].length);
      waiting = () => {};
      resolve([before, ...match]);
    };
    waiting();
  });
}

const [console] = await until(INIT_MARK);
say({ event: 'init', console });
await until(READY_MARK);
say({ event: 'ready' });

for await (const line of createInterface({ input: process.stdin })) {
  emulator.serial0_send(`${JSON.parse(line).run}\n`);
  await until(BEGIN_MARK);
  say({ event: 'begin' });
  const [output, mark, code] = await until(END_MARK);
  say({ event: 'end' });
  say({ event: 'done', exitCode: Number(code), output: `@begin\n${output}${mark}`, stderr: '' });
}
process.exit(0);
