package dev.kindling.tensor;

/**
 * Where a tensor's elements live: native memory, a device, a Java array. Opaque to everyone but the
 * backend that made it.
 */
public interface Memory {
  /**
   * The part of this memory that begins at element {@code from}; shares the elements.
   *
   * @param from first element
   * @param elements number of elements
   */
  Memory slice(long from, long elements);
}
