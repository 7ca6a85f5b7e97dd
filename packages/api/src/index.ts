/** Vivarium's API for clients anywhere: schemas, routes, problems. `./node` reaches a daemon, `./contract` is OpenAPI. */
export * from './attach.ts';
export { PROBLEMS, type ProblemCode } from './problems.ts';
export { API_VERSION, BASE_PATH, type OperationId, ROUTES, SOCKETS } from './routes.ts';
export * from './schemas/event.ts';
export * from './schemas/host.ts';
export * from './schemas/log.ts';
export * from './schemas/operation.ts';
export * from './schemas/problem.ts';
export * from './schemas/vm.ts';
export * from './vocabulary.ts';
