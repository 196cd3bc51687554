package dev.kindling.tensor.onednn;

import java.util.ArrayList;
import java.util.List;
import org.bytedeco.dnnl.IntMemoryMap;
import org.bytedeco.dnnl.memory;
import org.bytedeco.dnnl.primitive;
import org.bytedeco.dnnl.primitive_desc_base;
import org.bytedeco.dnnl.stream;

/**
 * Mutable: a oneDNN primitive with its arguments, which are pointed at other addresses each time it
 * runs (80 ns each; a new argument would cost 26 µs).
 */
final class Primitive implements AutoCloseable {
  private final primitive code;
  private final IntMemoryMap arguments = new IntMemoryMap();
  private final List<memory> slots = new ArrayList<>();

  Primitive(primitive code) {
    this.code = code;
  }

  /** Declares the next argument; {@link #run} takes their addresses in this order. */
  Primitive with(int argument, Operand operand) {
    try (memory.desc description = operand.describe()) {
      memory slot = new memory(description, Primitives.CPU, operand.address());
      slots.add(slot);
      arguments.put(argument, slot);
      return this;
    }
  }

  /** Runs on arguments of the declared sizes at these addresses, and waits. */
  void run(Primitives on, Operand... operands) {
    for (int i = 0; i < operands.length; i++) {
      slots.get(i).set_data_handle(operands[i].address());
    }
    stream queue = on.queue();
    code.execute(queue, arguments);
    queue._wait();
  }

  /** Its kind and what oneDNN calls the code for it: {@code matmul brg_matmul:avx512_core}. */
  String implementation() {
    try (primitive_desc_base description =
        new primitive_desc_base(code.get_dnnl_primitive_desc(), true)) { // the primitive's own
      return code.get_kind().intern().name() + " " + description.impl_info_str().getString();
    }
  }

  @Override
  public void close() {
    slots.forEach(memory::close);
    arguments.close();
    code.close();
  }
}
