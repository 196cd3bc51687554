package dev.kindling.tensor.onednn;

import dev.kindling.tensor.nd4j.OmpThreads;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import org.bytedeco.dnnl.engine;
import org.bytedeco.dnnl.global.dnnl;
import org.bytedeco.dnnl.stream;

/**
 * Mutable: one thread's primitives, made once for each shape (1 to 7 ms for a product, whose code
 * is generated) and kept.
 */
final class Primitives implements AutoCloseable {
  /** The CPU; oneDNN has one engine of it for all threads. */
  static final engine CPU = new engine(engine.kind.cpu, 0);

  /**
   * Primitives that are kept, some fifty for each shape of a step; what was not used for longest
   * goes first.
   */
  private static final int MOST = 2048;

  static {
    dnnl.set_primitive_cache_capacity(MOST); // what threads share; oneDNN's own is 1,024
  }

  private final stream queue = new stream(CPU);
  private final OmpThreads threads;
  private final Map<Key, Primitive> known =
      new LinkedHashMap<>(16, 0.75f, true) {
        private static final long serialVersionUID = 1;

        @Override
        protected boolean removeEldestEntry(Map.Entry<Key, Primitive> eldest) {
          if (size() <= MOST) {
            return false;
          }
          eldest.getValue().close();
          return true;
        }
      };

  /**
   * @param threads of each primitive
   */
  Primitives(int threads) {
    this.threads = new OmpThreads(threads);
  }

  /** The primitive of a key, to be run at once by the calling thread. */
  Primitive get(Key key, Supplier<Primitive> maker) {
    threads.ensure(); // code is generated for as many as there are
    Primitive primitive = known.get(key);
    if (primitive == null) {
      primitive = maker.get();
      known.put(key, primitive);
    }
    return primitive;
  }

  /** Where primitives run. */
  stream queue() {
    return queue;
  }

  /** What {@link Primitive#implementation} says of those that are kept. */
  Set<String> implementations() {
    return known.values().stream()
        .map(Primitive::implementation)
        .collect(Collectors.toCollection(TreeSet::new));
  }

  @Override
  public void close() {
    known.values().forEach(Primitive::close);
    known.clear();
    queue.close();
  }
}
