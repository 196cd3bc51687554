package dev.kindling.tensor.gpu;

import dev.kindling.tensor.gpu.Machine.Card;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

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

  /** Its place among the devices that this process sees: the number that CUDA knows it by. */
  public Optional<Integer> ordinal(Machine machine, String address) {
    List<Card> seen = seen(machine);
    if (address.matches("\\d{1,4}")) {
      int index = Integer.parseInt(address);
      return index < seen.size() ? Optional.of(index) : Optional.empty();
    }
    return named(seen, address).map(seen::indexOf);
  }

  private static Optional<Card> named(List<Card> cards, String name) {
    if (name.matches("\\d{1,4}")) {
      int index = Integer.parseInt(name);
      return cards.stream().filter(card -> card.index() == index).findFirst();
    }
    return cards.stream().filter(c -> !name.isEmpty() && c.uuid().startsWith(name)).findFirst();
  }
}
