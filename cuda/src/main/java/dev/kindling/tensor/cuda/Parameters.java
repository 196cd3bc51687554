package dev.kindling.tensor.cuda;

import dev.kindling.tensor.cuda.Launch.Address;
import dev.kindling.tensor.cuda.Launch.Argument;
import dev.kindling.tensor.cuda.Launch.Int;
import dev.kindling.tensor.cuda.Launch.Long64;
import dev.kindling.tensor.cuda.Launch.Real;
import java.util.List;
import org.bytedeco.javacpp.LongPointer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerPointer;

/**
 * Mutable: a kernel's parameters as cuLaunchKernel reads them, the addresses of their values. The
 * memory is the same for every launch, which has copied the values when it returns: a step has
 * thousands, and each would else make and free a dozen pointers.
 */
final class Parameters {
  /** More than any of our kernels has. */
  private static final int MOST = 24;

  private final LongPointer values = new LongPointer(MOST);
  private final PointerPointer<Pointer> places = new PointerPointer<>(MOST);

  Parameters() {
    for (int i = 0; i < MOST; i++) {
      places.put(i, values.getPointer(i));
    }
  }

  /** Narrower values take the lower bytes: both sides are little-endian. */
  void set(List<Argument> arguments) {
    for (int i = 0; i < arguments.size(); i++) {
      values.put(i, bits(arguments.get(i)));
    }
  }

  private static long bits(Argument argument) {
    if (argument instanceof Address address) {
      return address.value();
    }
    if (argument instanceof Long64 number) {
      return number.value();
    }
    return argument instanceof Int number
        ? Integer.toUnsignedLong(number.value())
        : Integer.toUnsignedLong(Float.floatToRawIntBits(((Real) argument).value()));
  }

  PointerPointer<Pointer> places() {
    return places;
  }
}
