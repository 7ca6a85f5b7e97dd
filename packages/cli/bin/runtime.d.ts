/** Types of runtime.js for those who start the program's Node themselves (benchmarks). */
export declare const NODE_FLAGS: readonly string[];
export declare const NODE_ENV: Readonly<Record<string, string>>;
