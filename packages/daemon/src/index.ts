/** What others need to start a daemon: they speak with it through @vivarium/api. */
export { PROTOCOL } from './vm-process/protocol.ts';
