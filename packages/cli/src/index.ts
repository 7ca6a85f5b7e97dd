/** `import … from 'vivarium'`: the library. */
export * from '@vivarium/vm';
