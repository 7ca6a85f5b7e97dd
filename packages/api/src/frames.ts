/**
 * Frames of the WebSockets `attach` and `console`: one byte that says what it is, then the content.
 *
 *   client → daemon   0 standard input · 1 (empty) end of input · 2 JSON `AttachControl`
 *   daemon → client   0 standard output · 1 standard error · 2 JSON `AttachEvent`
 *
 * The console has input and output only, both 0. Whoever cannot keep up is waited for: TCP's back-pressure, both ways.
 */
export const CLIENT_FRAME = { STDIN: 0, STDIN_END: 1, CONTROL: 2 } as const;
export const DAEMON_FRAME = { STDOUT: 0, STDERR: 1, EVENT: 2 } as const;
export const MAX_FRAME_BYTES: number = 1 << 20;
