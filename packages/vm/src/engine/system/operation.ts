/** A cold operation: takes the address of the instruction's record, gives STATUS (engine/unit.ts). */
export type Operation = (record: number) => number;
export type Operations = Readonly<Record<string, Operation>>;
