package dev.kindling.tensor.cuda;

/**
 * What a device does within its own memory. A value, so that work that comes again can be
 * recognised.
 */
sealed interface Work permits Launch, Product, Clear {
  /** Whether it names an address from {@code from} to before {@code to}. */
  boolean names(long from, long to);
}
