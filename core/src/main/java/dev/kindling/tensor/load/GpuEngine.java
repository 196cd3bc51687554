package dev.kindling.tensor.load;

import dev.kindling.InvalidInput;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.gpu.Address;
import dev.kindling.tensor.gpu.Guard;
import dev.kindling.tensor.gpu.Guard.Wanted;
import dev.kindling.tensor.gpu.Machine;
import dev.kindling.tensor.gpu.Machine.Card;
import java.util.Locale;
import java.util.Optional;
import java.util.ServiceLoader;

/**
 * An engine that computes on GPUs, in a jar of its own beside the job's, so that who has none
 * carries none. Registered under {@code META-INF/services}; one for each of {@link Engine}'s.
 */
public interface GpuEngine {
  /** Which one it is. */
  Engine engine();

  /**
   * The device of an address, or the CPU and why it cannot be used.
   *
   * @param address an index among the devices that this process sees, or a UUID
   * @param precision of what it is to compute
   */
  Device device(String address, Precision precision);

  /**
   * A backend on a device, for one task.
   *
   * @throws InvalidInput if it cannot compute so
   */
  Backend open(Precision precision, Device.Gpu device);

  /**
   * A backend to be asked for types and sizes only: on the driver, which may have no GPU.
   *
   * @throws InvalidInput if the engine cannot compute so
   */
  Backend sizes(Precision precision);

  /** What the bits of a result depend on besides its inputs: libraries and the kind of device. */
  String numerics(Device.Gpu device);

  /** The device of an address as the guard decides, without touching it. */
  static Device device(Machine machine, Address seen, String address, Wanted wanted) {
    Optional<Card> card = seen.find(machine, address);
    if (card.isEmpty() && machine.driver().isPresent()) {
      return new Device.Cpu(seen.missing(machine, address));
    }
    Guard.Decision decision = Guard.decide(machine, card, wanted);
    if (decision instanceof Guard.Cpu cpu) {
      return new Device.Cpu(cpu.why());
    }
    if (decision instanceof Guard.Refused refused) {
      return new Device.Cpu(refused.advice());
    }
    Card found = card.orElseThrow();
    return new Device.Gpu(address, found.uuid(), found.model(), found.bytes());
  }

  /**
   * The one that was put on the class path.
   *
   * @throws InvalidInput if there is none, or more than one
   */
  static GpuEngine of(Engine engine) {
    var found =
        ServiceLoader.load(GpuEngine.class, GpuEngine.class.getClassLoader()).stream()
            .map(ServiceLoader.Provider::get)
            .toList();
    var wanted = found.stream().filter(e -> e.engine() == engine).toList();
    String name = engine.spelled();
    if (wanted.isEmpty()) {
      throw new InvalidInput(
          "compute.backend",
          name + ", and the class path has no such engine",
          String.format(
              Locale.ROOT,
              "build it (mvn package%s) and add --jars %s/target/kindling-%s.jar",
              engine == Engine.ND4J_CUDA ? " -Pnd4j-cuda" : "",
              name,
              name));
    }
    if (found.size() > 1) { // their bindings are one artifact in two versions
      throw new InvalidInput(
          "compute.backend",
          "the class path has several GPU engines: "
              + found.stream().map(GpuEngine::engine).toList(),
          "one: leave the jars of the others out");
    }
    return wanted.get(0);
  }
}
