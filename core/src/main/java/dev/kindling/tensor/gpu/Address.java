package dev.kindling.tensor.gpu;

import dev.kindling.tensor.gpu.Machine.Card;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * Which device an address of Spark's means. Indices count the devices that the process sees; UUIDs
 * mean themselves.
 *
 * @param visible CUDA_VISIBLE_DEVICES, if it is set
 */
public record Address(Optional<String> visible) {
  /** Of this process. */
  public static Address here() {
    return new Address(Optional.ofNullable(System.getenv("CUDA_VISIBLE_DEVICES")));
  }

  /** The devices that the driver shows to this process, in its order. */
  public List<Card> seen(Machine machine) {
    if (visible.isEmpty()) {
      return machine.gpus();
    }
    List<Card> seen = new ArrayList<>();
    for (String name : visible.get().split(",", -1)) {
      Optional<Card> card = named(machine.gpus(), name.strip());
      if (card.isEmpty()) {
        break; // so does the driver: what follows is not there
      }
      seen.add(card.get());
    }
    return seen;
  }

  /** The device of an address, if this process sees it. */
  public Optional<Card> find(Machine machine, String address) {
    return ordinal(machine, address).map(seen(machine)::get);
  }

  /**
   * Its place among the devices that this process sees, in the order of the bus: the number that
   * CUDA knows it by if all cards are alike, or if CUDA_DEVICE_ORDER is PCI_BUS_ID.
   */
  public Optional<Integer> ordinal(Machine machine, String address) {
    List<Card> seen = seen(machine);
    if (address.matches("\\d{1,4}")) {
      int index = Integer.parseInt(address);
      return index < seen.size() ? Optional.of(index) : Optional.empty();
    }
    return named(seen, address).map(seen::indexOf);
  }

  /** Why there is no such device, for people. */
  public String missing(Machine machine, String address) {
    String part = visible.filter(names -> names.contains("MIG-")).orElse(address);
    if (part.contains("MIG-")) {
      return part + " is a part of a GPU (MIG), which we cannot use: give executors whole GPUs";
    }
    String others =
        seen(machine).stream()
            .map(card -> card.uuid() + " (" + card.model() + ")")
            .collect(Collectors.joining(", "));
    return "there is no GPU "
        + address
        + " among those that this process sees: "
        + (others.isEmpty() ? "none" : others)
        + visible.map(names -> ", by CUDA_VISIBLE_DEVICES = '" + names + "'").orElse("");
  }

  private static Optional<Card> named(List<Card> cards, String name) {
    if (name.matches("\\d{1,4}")) {
      int index = Integer.parseInt(name);
      return cards.stream().filter(card -> card.index() == index).findFirst();
    }
    return cards.stream().filter(c -> !name.isEmpty() && c.uuid().startsWith(name)).findFirst();
  }
}
