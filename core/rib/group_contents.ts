/** What a nexthop group is made of at this moment: those of its nexthops that the kernel can have. Main thread only. */
import type { LinkTable } from "../model/link_table.ts";
import type { Nexthop } from "../model/route.ts";
import type { GroupDefinition, NexthopGroup } from "./nexthop_group.ts";
import type { GroupObjectMember, NexthopObjects } from "./nexthop_objects.ts";

export class GroupContents {
  readonly #objects: NexthopObjects;
  readonly #links: LinkTable;

  constructor(objects: NexthopObjects, links: LinkTable) {
    this.#objects = objects;
    this.#links = links;
  }

  /** Whether the kernel takes nexthop objects on this link. */
  isUsable(ifindex: number): boolean {
    const link = this.#links.get(ifindex);
    return link?.up === true && link.carrier;
  }

  usable(nexthops: readonly Nexthop[]): Nexthop[] {
    return nexthops.filter(({ ifindex }) => this.isUsable(ifindex));
  }

  /** Those that the kernel has. */
  held(nexthops: readonly Nexthop[]): GroupObjectMember[] {
    const members: GroupObjectMember[] = [];
    for (const nexthop of this.usable(nexthops)) {
      const single = this.#objects.internSingle(nexthop);
      if (single.isHeld) members.push({ single, weight: nexthop.weight });
    }
    return members;
  }

  /** The members that the kernel has, or else the backup members. */
  of({ members, backup }: GroupDefinition): GroupObjectMember[] {
    const held = this.held(members);
    return held.length > 0 ? held : this.held(backup);
  }

  /** For routes that cannot go by the object. With no usable link they are left to the kernel, as any route is. */
  inlineNexthops({ wanted, accepted }: NexthopGroup): Nexthop[] {
    const { members, backup } = accepted ?? wanted;
    const usable = this.usable(members);
    if (usable.length > 0) return usable;
    const spare = this.usable(backup);
    return spare.length > 0 ? spare : [...members];
  }
}
