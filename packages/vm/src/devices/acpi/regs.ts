/**
 * The registers that the ACPI tables name (ACPI 6.5, 4.8.3.7 sleep control, 4.8.3.6 reset, 5.6.9 GED).
 *
 *   0x600  sleep control and reset: write (SLP_TYP 5 << 2) | SLP_EN = power off, write 1 = reset; reads 0
 *   0x601  sleep status: reads 0, writes vanish
 *   0x604  events, read to clear: bit 3 = power button (the GED's _EVT reads it)
 */
export const ACPI_PORT: number = 0x600;
export const ACPI_PORTS: number = 8;
export const SLEEP_CONTROL_PORT: number = 0x600;
export const SLEEP_STATUS_PORT: number = 0x601;
export const RESET_PORT: number = 0x600;
export const RESET_VALUE: number = 1;
export const EVENT_PORT: number = 0x604;
/** Interrupt pin (GSI) of the generic event device: edge, active high. */
export const GED_IRQ: number = 9;

/** Value of _S5_'s SLP_TYP. */
export const S5_SLEEP_TYPE: number = 5;
export const SLEEP_ENABLE: number = 1 << 5;

export const Event = { POWER_BUTTON: 8 } as const;
