/** Which items `--only` names. */

/**
 * @param only names or their first words, with commas between
 * @param known names by suite
 * @returns whether an item is selected
 */
export function selection(
  only: string | undefined,
  known: Readonly<Record<string, readonly string[]>>,
): (name: string) => boolean {
  if (only === undefined) return () => true;
  const wanted = new Set(only.split(','));
  const matches = (word: string, name: string): boolean => name === word || name.split(' ')[0] === word;
  const names = Object.values(known).flat();
  for (const word of wanted) {
    if (!names.some((name) => matches(word, name)))
      throw new Error(`--only ${word}: no such item; there is: ${[...new Set(names)].join(', ')}`);
  }
  return (name) => [...wanted].some((word) => matches(word, name));
}
