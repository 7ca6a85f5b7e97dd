/** Which of V8's compilers made a WebAssembly function's machine code. For tools only: V8 warns of these questions. */
import { setFlagsFromString } from 'node:v8';
import { runInThisContext } from 'node:vm';

const QUESTIONS = {
  TurboFan: 'IsTurboFanFunction',
  Liftoff: 'IsLiftoffFunction',
  'not compiled yet': 'IsUncompiledWasmFunction',
} as const;

type Question = (run: object) => boolean;
let questions: [string, Question][] | undefined;

/** @returns undefined when this V8 does not say */
export function compilerOf(run: object): string | undefined {
  try {
    questions ??= ask(run);
    return questions.find(([, question]) => question(run))?.[0];
  } catch {
    return undefined;
  }
}

/** Functions that have run once keep their meaning when the syntax is forbidden again. */
function ask(run: object): [string, Question][] {
  setFlagsFromString('--allow-natives-syntax');
  try {
    // only so can this syntax be written: sources are read without the flag
    const asked = Object.entries(QUESTIONS).map(([name, native]): [string, Question] => [
      name,
      runInThisContext(`(run) => %${native}(run)`) as Question,
    ]);
    for (const [, question] of asked) question(run);
    return asked;
  } finally {
    setFlagsFromString('--no-allow-natives-syntax');
  }
}
