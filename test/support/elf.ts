/** Small ELF64 files for tests of kernel and module readers. */

function header(size: number, type: number): Buffer {
  const file = Buffer.alloc(size);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  file.writeUInt16LE(type, 16);
  file.writeUInt16LE(62, 18);
  return file;
}

/** A kernel: one PT_LOAD that covers `content`. */
export function elfKernel(content: Uint8Array): Buffer {
  const file = header(120 + content.length, 2);
  file.writeBigUInt64LE(0x1000000n, 24);
  file.writeBigUInt64LE(64n, 32);
  file.writeUInt16LE(56, 54);
  file.writeUInt16LE(1, 56);
  file.writeUInt32LE(1, 64);
  file.writeBigUInt64LE(120n, 72);
  file.writeBigUInt64LE(0x1000000n, 88);
  file.writeBigUInt64LE(BigInt(content.length), 96);
  file.writeBigUInt64LE(BigInt(content.length), 104);
  file.set(content, 120);
  return file;
}

/** A module: sections `.modinfo` and `.shstrtab`. */
export function elfModule(modinfo: Readonly<Record<string, string>>): Buffer {
  const info = Buffer.from(
    Object.entries(modinfo)
      .map(([key, value]) => `${key}=${value}\0`)
      .join(''),
  );
  const names = Buffer.from('\0.modinfo\0.shstrtab\0');
  const table = 64 + info.length + names.length;
  const file = header(table + 3 * 64, 1);
  file.set(info, 64);
  file.set(names, 64 + info.length);
  file.writeBigUInt64LE(BigInt(table), 40);
  file.writeUInt16LE(64, 58);
  file.writeUInt16LE(3, 60);
  file.writeUInt16LE(2, 62);
  const section = (index: number, name: number, type: number, offset: number, size: number): void => {
    const at = table + index * 64;
    file.writeUInt32LE(name, at);
    file.writeUInt32LE(type, at + 4);
    file.writeBigUInt64LE(BigInt(offset), at + 24);
    file.writeBigUInt64LE(BigInt(size), at + 32);
  };
  section(1, 1, 1, 64, info.length);
  section(2, 10, 3, 64 + info.length, names.length);
  return file;
}

/** A bzImage around a compressed payload (which ends with its unpacked size as u32). */
export function bzImage(payload: Uint8Array): Buffer {
  const file = Buffer.alloc(5 * 512 + 64 + payload.length + 8);
  file[0x1f1] = 4;
  file.writeUInt16LE(0xaa55, 0x1fe);
  file.writeUInt32LE(0x53726448, 0x202);
  file.writeUInt16LE(0x20f, 0x206);
  file.writeUInt32LE(64, 0x248);
  file.writeUInt32LE(payload.length, 0x24c);
  file.set(payload, 5 * 512 + 64);
  return file;
}
