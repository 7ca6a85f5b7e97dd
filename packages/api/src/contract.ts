/** OpenAPI. */
export {};
