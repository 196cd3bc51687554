package dev.kindling.tensor.cuda;

import dev.kindling.tensor.cuda.Driver.Copy;
import java.util.ArrayList;
import java.util.List;

/**
 * Mutable: copies to the host that go on beside a device's work. A gradient is copied so while the
 * next micro-batch runs forward; what is about to write the next one waits.
 */
final class Copies {
  /** Memory that is being read: all of an allocation, for work says where its tensors begin. */
  private record UnderWay(long from, long to, Copy copy) {}

  private final List<UnderWay> underWay = new ArrayList<>();

  /** Something within an allocation is being copied. */
  void begun(long allocation, long bytes, Copy copy) {
    underWay.add(new UnderWay(allocation, allocation + bytes, copy));
  }

  /** It has arrived. */
  void arrived(Copy copy) {
    underWay.removeIf(one -> one.copy == copy);
    copy.close();
  }

  /** What follows may write wherever this work does. */
  void before(Work work) {
    if (!underWay.isEmpty()) {
      underWay.removeIf(one -> work.names(one.from, one.to) && held(one));
    }
  }

  /** What follows may write here. */
  void before(long address) {
    underWay.removeIf(one -> one.from <= address && address < one.to && held(one));
  }

  private static boolean held(UnderWay one) {
    one.copy.beforeMore();
    return true;
  }
}
