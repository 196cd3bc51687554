package dev.kindling.tensor.cuda;

/** Sets bytes to zero. */
record Clear(long address, long bytes) implements Work {
  @Override
  public boolean names(long from, long to) {
    return from <= address && address < to;
  }
}
